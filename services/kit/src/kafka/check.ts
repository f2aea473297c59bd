/** Whether a cluster answers: for programs that want to say so before they begin. */
import { createCluster } from "./cluster.ts";

/**
 * Asks any of the brokers for the metadata of the cluster, once.
 * @throws Error of the last broker that was tried, within 10 s for each question
 */
export async function checkBrokers(options: {
  readonly brokers: readonly string[];
}): Promise<void> {
  const cluster = createCluster({ brokers: options.brokers, clientId: "headgate-check" });
  try {
    await cluster.refresh();
  } finally {
    cluster.close();
  }
}
