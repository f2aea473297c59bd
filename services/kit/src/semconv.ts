/**
 * Every name of a span attribute and of a metric, in one place. Standard names are copied from the OpenTelemetry semantic
 * conventions 1.45.0 (`@opentelemetry/semantic-conventions`; a test compares them); ours begin with `headgate.`.
 */

/** Names of attributes on spans, links and metrics, from the conventions. */
export const ATTR = {
  errorType: "error.type",
  clientAddress: "client.address",
  serverAddress: "server.address",
  serverPort: "server.port",
  networkProtocolVersion: "network.protocol.version",
  urlPath: "url.path",
  urlScheme: "url.scheme",
  urlFull: "url.full",
  userAgent: "user_agent.original",

  httpMethod: "http.request.method",
  httpRoute: "http.route",
  httpStatus: "http.response.status_code",
  httpRequestBodySize: "http.request.body.size",
  httpResendCount: "http.request.resend_count",

  rpcSystem: "rpc.system.name",
  rpcMethod: "rpc.method",
  rpcStatus: "rpc.status_code",

  dbSystem: "db.system.name",
  dbNamespace: "db.namespace",
  dbCollection: "db.collection.name",
  dbOperation: "db.operation.name",
  dbQuerySummary: "db.query.summary",
  dbQueryText: "db.query.text",
  dbStatus: "db.response.status_code",
  dbPoolName: "db.client.connection.pool.name",
  dbConnectionState: "db.client.connection.state",

  messagingSystem: "messaging.system.name",
  messagingDestination: "messaging.destination.name",
  messagingPartition: "messaging.destination.partition.id",
  messagingOperation: "messaging.operation.name",
  messagingOperationType: "messaging.operation.type",
  messagingGroup: "messaging.consumer.group.name",
  messagingClientId: "messaging.client.id",
  messagingMessageId: "messaging.message.id",
  messagingConversationId: "messaging.message.conversation_id",
  messagingBatchCount: "messaging.batch.message_count",
  kafkaKey: "kafka.message.key",
  kafkaOffset: "kafka.offset",

  gcType: "v8js.gc.type",
  otelComponentName: "otel.component.name",
  otelComponentType: "otel.component.type",
  otelOverflow: "otel.metric.overflow",
} as const;

/** Names of our own attributes. On metrics only those with few values: dialect, action, outcome, reason and their like. */
export const OURS = {
  dialect: "headgate.dialect",
  action: "headgate.action",
  outcome: "headgate.outcome",
  reason: "headgate.reason",
  hop: "headgate.hop",
  attemptNumber: "headgate.attempt.number",
  deliveryId: "headgate.delivery.id",
  rateLimitDecision: "headgate.rate_limit.decision",
  rateLimitMode: "headgate.rate_limit.mode",
} as const;

/** Names of attributes that describe the process itself. */
export const RESOURCE = {
  serviceName: "service.name",
  serviceNamespace: "service.namespace",
  serviceVersion: "service.version",
  serviceInstanceId: "service.instance.id",
} as const;

/** Names of metrics from the conventions. Durations in seconds. */
export const METRIC = {
  httpServerDuration: "http.server.request.duration",
  httpClientDuration: "http.client.request.duration",
  rpcServerDuration: "rpc.server.call.duration",
  rpcClientDuration: "rpc.client.call.duration",
  messagingOperationDuration: "messaging.client.operation.duration",
  messagingSent: "messaging.client.sent.messages",
  messagingConsumed: "messaging.client.consumed.messages",
  messagingProcessDuration: "messaging.process.duration",
  dbOperationDuration: "db.client.operation.duration",
  dbConnectionCount: "db.client.connection.count",
  dbConnectionPending: "db.client.connection.pending_requests",
  dbConnectionLimit: "db.client.connection.limit",
  dbConnectionWait: "db.client.connection.wait_time",
  eventLoopDelayP99: "nodejs.eventloop.delay.p99",
  eventLoopUtilization: "nodejs.eventloop.utilization",
  gcDuration: "v8js.gc.duration",
  heapUsed: "v8js.memory.heap.used",
  heapLimit: "v8js.memory.heap.limit",
  processMemory: "process.memory.usage",
  processCpu: "process.cpu.time",
  otelSpanQueueSize: "otel.sdk.processor.span.queue.size",
  otelSpanQueueCapacity: "otel.sdk.processor.span.queue.capacity",
  otelSpanProcessed: "otel.sdk.processor.span.processed",
  otelSpanExported: "otel.sdk.exporter.span.exported",
} as const;

/** Names of our own metrics. */
export const OUR_METRIC = {
  ingestEvents: "headgate.ingest.events",
  gatewayWaiting: "headgate.gateway.waiting",
  eventReadable: "headgate.event.readable.duration",
  eventAttempted: "headgate.event.attempted.duration",
  eventDelivered: "headgate.event.delivered.duration",
  consumerLag: "headgate.consumer.lag",
  consumerLagAge: "headgate.consumer.lag.age",
  consumerRebalances: "headgate.consumer.rebalances",
  recordOutcomes: "headgate.record.outcomes",
  deadletterRecords: "headgate.deadletter.records",
  outboxPending: "headgate.outbox.pending",
  outboxOldestAge: "headgate.outbox.oldest.age",
  rateLimitDecisions: "headgate.rate_limit.decisions",
  rateLimitDegraded: "headgate.rate_limit.degraded",
  deliveryAttempts: "headgate.delivery.attempts",
  deliveryPending: "headgate.delivery.pending",
  deliveryOldestAge: "headgate.delivery.oldest.age",
  deliveryEndpointsDisabled: "headgate.delivery.endpoints_disabled",
  mediaFetchDuration: "headgate.media.fetch.duration",
  mediaFetchSize: "headgate.media.fetch.size",
  partitionsAhead: "headgate.partitions.ahead",
  logLinesDropped: "headgate.log.lines_dropped",
} as const;
