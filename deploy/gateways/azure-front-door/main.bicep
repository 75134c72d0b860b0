// The smallest configuration of an existing Front Door profile (Standard or Premium) that Hopline needs: its access
// log, and on Premium its firewall's, go to an event hub, from where Hopline reads them within minutes.
//
// Source: learn.microsoft.com/azure/templates/microsoft.insights/diagnosticsettings; azure-docs frontdoor/monitor-front-door.

@description('Name of the Front Door profile in this resource group.')
param profileName string

@description('Resource id of an authorization rule of the Event Hubs namespace (Listen, Send, Manage).')
param eventHubAuthorizationRuleId string

@description('Name of the hub; HOPLINE_EVENTHUB_TOPICS.')
param eventHubName string = 'hopline'

resource profile 'Microsoft.Cdn/profiles@2024-02-01' existing = {
  name: profileName
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: profile
  name: 'hopline'
  properties: {
    eventHubAuthorizationRuleId: eventHubAuthorizationRuleId
    eventHubName: eventHubName
    logs: [
      {
        category: 'FrontDoorAccessLog'
        enabled: true
      }
      {
        category: 'FrontDoorWebApplicationFirewallLog'
        enabled: true
      }
    ]
  }
}
