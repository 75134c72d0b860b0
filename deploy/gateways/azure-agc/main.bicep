// The smallest configuration of an existing Application Gateway for Containers that Hopline needs: its access log
// goes to an event hub, from where Hopline reads it within a minute or so.
//
// Source: learn.microsoft.com/azure/templates/microsoft.insights/diagnosticsettings; azure-docs application-gateway/for-containers diagnostics.

@description('Name of the Application Gateway for Containers in this resource group.')
param trafficControllerName string

@description('Resource id of an authorization rule of the Event Hubs namespace (Listen, Send, Manage).')
param eventHubAuthorizationRuleId string

@description('Name of the hub; HOPLINE_EVENTHUB_TOPICS.')
param eventHubName string = 'hopline'

resource gateway 'Microsoft.ServiceNetworking/trafficControllers@2025-01-01' existing = {
  name: trafficControllerName
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: gateway
  name: 'hopline'
  properties: {
    eventHubAuthorizationRuleId: eventHubAuthorizationRuleId
    eventHubName: eventHubName
    logs: [
      {
        category: 'TrafficControllerAccessLog'
        enabled: true
      }
    ]
  }
}
