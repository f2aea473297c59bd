/** The requests that kafkajs lays out for us. Types only. */

/** What is asked of brokers, and what they answer, as kafkajs names it. Offsets come as decimal text. */
export type Apis = {
  ApiVersions: {
    params: Record<string, never>;
    result: { apiVersions: { apiKey: number; minVersion: number; maxVersion: number }[] };
  };
  Metadata: {
    params: { topics: readonly string[]; allowAutoTopicCreation: boolean };
    result: {
      brokers: { nodeId: number; host: string; port: number }[];
      controllerId: number;
      topicMetadata: {
        topicErrorCode: number;
        topic: string;
        partitionMetadata: { partitionId: number; leader: number; replicas: number[] }[];
      }[];
    };
  };
  InitProducerId: {
    params: { transactionalId: null; transactionTimeout: number };
    result: { producerId: string; producerEpoch: number };
  };
  ListOffsets: {
    params: {
      isolationLevel: 0;
      topics: {
        topic: string;
        partitions: { partition: number; timestamp: number }[];
      }[];
    };
    result: {
      responses: {
        topic: string;
        partitions: { partition: number; errorCode: number; offset: string }[];
      }[];
    };
  };
  GroupCoordinator: {
    params: { groupId: string };
    result: { coordinator: { nodeId: number; host: string; port: number } };
  };
  JoinGroup: {
    params: {
      groupId: string;
      sessionTimeout: number;
      rebalanceTimeout: number;
      memberId: string;
      protocolType: "consumer";
      groupProtocols: { name: string; metadata: Buffer }[];
    };
    result: {
      generationId: number;
      leaderId: string;
      memberId: string;
      members: { memberId: string; memberMetadata: Buffer }[];
    };
  };
  SyncGroup: {
    params: {
      groupId: string;
      generationId: number;
      memberId: string;
      groupAssignment: { memberId: string; memberAssignment: Buffer }[];
    };
    result: { memberAssignment: Buffer };
  };
  Heartbeat: {
    params: { groupId: string; groupGenerationId: number; memberId: string };
    result: unknown;
  };
  LeaveGroup: { params: { groupId: string; memberId: string }; result: unknown };
  OffsetFetch: {
    params: {
      groupId: string;
      topics: { topic: string; partitions: { partition: number }[] }[];
    };
    result: {
      responses: {
        topic: string;
        partitions: { partition: number; offset: string; metadata: string | null }[];
      }[];
    };
  };
  OffsetCommit: {
    params: {
      groupId: string;
      groupGenerationId: number;
      memberId: string;
      topics: {
        topic: string;
        partitions: { partition: number; offset: string; metadata: string }[];
      }[];
    };
    result: unknown;
  };
  CreateTopics: {
    params: {
      topics: {
        topic: string;
        numPartitions: number;
        replicationFactor: number;
        configEntries: { name: string; value: string }[];
      }[];
      timeout: number;
    };
    result: { topicErrors: { topic: string; errorCode: number; errorMessage: string | null }[] };
  };
  DescribeConfigs: {
    params: { resources: { type: 2; name: string; configNames: string[] }[] };
    result: {
      resources: {
        errorCode: number;
        resourceName: string;
        configEntries: { configName: string; configValue: string | null }[];
      }[];
    };
  };
};
