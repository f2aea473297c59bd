/** Whether a cluster answers: for programs that want to say so before they begin. */
import type { Log } from "../log.ts";
import { createCluster } from "./cluster.ts";
import { explainRefusal } from "./refusals.ts";
import type { KafkaAccess } from "./types.ts";

/**
 * Asks any of the brokers for the metadata of the cluster, once.
 * @throws Error of the last broker that was tried, within 10 s for each question; it names the settings to look at when the
 * broker refused us
 */
export async function checkBrokers(options: KafkaAccess & { readonly log: Log }): Promise<void> {
  const cluster = createCluster({ ...options, clientId: "headgate-check" });
  try {
    await cluster.refresh();
  } catch (thrown) {
    const refusal = explainRefusal(thrown);
    if (!refusal) throw thrown;
    throw new Error(`${refusal.message}: see ${refusal.settings}`, { cause: thrown });
  } finally {
    cluster.close();
  }
}
