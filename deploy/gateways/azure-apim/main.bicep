// The smallest configuration of an existing API Management service that makes Hopline's join exact.
//
// - GatewayLogs go to Log Analytics in resource-specific mode (and, if named, to an event hub);
// - the trace headers of both legs are logged: the backend leg shows the span id that the mesh gets;
// - Application Insights, if there is a logger for it, correlates by W3C and not by its default;
// - two policy fragments: one gives requests a valid traceparent, one reports them in seconds.
//
// Source: learn.microsoft.com/azure/templates/microsoft.apimanagement (service/diagnostics,
// service/loggers, service/policyFragments), microsoft.insights/diagnosticsettings.

@description('Name of the API Management service in this resource group.')
param apimName string

@description('Resource id of the Log Analytics workspace that Hopline polls.')
param workspaceResourceId string

@description('Name of an Event Hubs namespace in this resource group. Empty: no event hub.')
param eventHubNamespaceName string = ''

@description('Name of the hub that is created in it; HOPLINE_EVENTHUB_TOPICS.')
param eventHubName string = 'hopline'

@description('Name of an existing Application Insights logger of the service. Empty: none.')
param appInsightsLoggerName string = ''

@description('Share of requests that are logged, in percent. Below 100 requests are missing.')
@minValue(1)
@maxValue(100)
param samplingPercentage int = 100

@description('Log categories. Add GatewayLlmLogs when language models are behind the service.')
param categories array = [
  'GatewayLogs'
  'WebSocketConnectionLogs'
]

var hasEventHub = !empty(eventHubNamespaceName)
var requestHeaders = [
  'traceparent'
  'x-request-id'
  'Request-Id'
  'b3'
  'Content-Type'
]
var responseHeaders = [
  'x-request-id'
  'grpc-status'
]
var senderRoleId = '2b629674-e913-4c01-ae53-ef4638d8f975' // Azure Event Hubs Data Sender

resource apim 'Microsoft.ApiManagement/service@2023-05-01-preview' existing = {
  name: apimName
}

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' existing = if (hasEventHub) {
  name: eventHubNamespaceName
}

resource hub 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = if (hasEventHub) {
  parent: namespace
  name: eventHubName
  properties: {
    messageRetentionInDays: 1
    partitionCount: 4
  }
}

// Hopline reads with this one: its connection string is HOPLINE_EVENTHUB_CONNECTION_STRING.
resource listen 'Microsoft.EventHub/namespaces/eventhubs/authorizationRules@2024-01-01' = if (hasEventHub) {
  parent: hub
  name: 'hopline-listen'
  properties: {
    rights: [
      'Listen'
    ]
  }
}

// A diagnostic setting can only use a rule of the namespace, with all three rights.
resource diagnosticRule 'Microsoft.EventHub/namespaces/authorizationRules@2024-01-01' = if (hasEventHub) {
  parent: namespace
  name: 'hopline-diagnostics'
  properties: {
    rights: [
      'Listen'
      'Send'
      'Manage'
    ]
  }
}

resource apimMaySend 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (hasEventHub) {
  scope: hub
  name: guid(hub.id, apim.id, senderRoleId)
  properties: {
    principalId: apim.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', senderRoleId)
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: apim
  name: 'hopline'
  properties: {
    workspaceId: workspaceResourceId
    logAnalyticsDestinationType: 'Dedicated'
    eventHubAuthorizationRuleId: hasEventHub ? diagnosticRule.id : null
    eventHubName: hasEventHub ? eventHubName : null
    logs: [
      for category in categories: {
        category: category
        enabled: true
      }
    ]
  }
}

resource azureMonitor 'Microsoft.ApiManagement/service/diagnostics@2023-05-01-preview' = {
  parent: apim
  name: 'azuremonitor'
  properties: {
    loggerId: resourceId('Microsoft.ApiManagement/service/loggers', apimName, 'azuremonitor')
    alwaysLog: 'allErrors'
    verbosity: 'information'
    logClientIp: true
    sampling: {
      samplingType: 'fixed'
      percentage: samplingPercentage
    }
    frontend: {
      request: {
        headers: requestHeaders
      }
      response: {
        headers: responseHeaders
      }
    }
    backend: {
      request: {
        headers: requestHeaders
      }
      response: {
        headers: responseHeaders
      }
    }
  }
}

resource appInsights 'Microsoft.ApiManagement/service/diagnostics@2023-05-01-preview' = if (!empty(appInsightsLoggerName)) {
  parent: apim
  name: 'applicationinsights'
  properties: {
    loggerId: resourceId('Microsoft.ApiManagement/service/loggers', apimName, appInsightsLoggerName)
    alwaysLog: 'allErrors'
    httpCorrelationProtocol: 'W3C' // the default, Legacy, sends no traceparent
    verbosity: 'information'
    sampling: {
      samplingType: 'fixed'
      percentage: samplingPercentage
    }
  }
}

resource eventLogger 'Microsoft.ApiManagement/service/loggers@2023-05-01-preview' = if (hasEventHub) {
  parent: apim
  name: 'hopline'
  properties: {
    loggerType: 'azureEventHub'
    credentials: {
      name: eventHubName
      endpointAddress: '${eventHubNamespaceName}.servicebus.windows.net'
      identityClientId: 'SystemAssigned'
    }
  }
  dependsOn: [
    apimMaySend
  ]
}

resource traceFragment 'Microsoft.ApiManagement/service/policyFragments@2023-05-01-preview' = {
  parent: apim
  name: 'hopline-traceparent'
  properties: {
    description: 'Sends a valid traceparent to the backend.'
    format: 'xml'
    value: loadTextContent('traceparent.fragment.xml')
  }
}

resource eventFragment 'Microsoft.ApiManagement/service/policyFragments@2023-05-01-preview' = if (hasEventHub) {
  parent: apim
  name: 'hopline-event'
  properties: {
    description: 'Reports the request to an event hub, in seconds and without sampling.'
    format: 'xml'
    value: loadTextContent('event.fragment.xml')
  }
  dependsOn: [
    eventLogger
  ]
}
