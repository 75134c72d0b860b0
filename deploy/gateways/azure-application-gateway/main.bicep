// The smallest configuration of an existing Application Gateway that Hopline needs: its access log
// goes to an event hub, from where Hopline reads it within a minute or so.
//
// Source: learn.microsoft.com/azure/templates/microsoft.insights/diagnosticsettings; azure-docs application-gateway diagnostics.

@description('Name of the Application Gateway in this resource group.')
param applicationGatewayName string

@description('Resource id of an authorization rule of the Event Hubs namespace (Listen, Send, Manage).')
param eventHubAuthorizationRuleId string

@description('Name of the hub; HOPLINE_EVENTHUB_TOPICS.')
param eventHubName string = 'hopline'

resource gateway 'Microsoft.Network/applicationGateways@2024-05-01' existing = {
  name: applicationGatewayName
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: gateway
  name: 'hopline'
  properties: {
    eventHubAuthorizationRuleId: eventHubAuthorizationRuleId
    eventHubName: eventHubName
    logs: [
      {
        category: 'ApplicationGatewayAccessLog'
        enabled: true
      }
    ]
  }
}
