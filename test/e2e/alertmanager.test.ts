/** Real input: Debian's Alertmanager posts through its own slack_configs to the Mattermost hook. */
import { expect, test } from "vitest";
import { type Alert, findAlertmanager, startAlertmanager } from "../support/alertmanager.ts";
import { eventually } from "../support/eventually.ts";
import { useRunningSystem } from "../support/system.ts";

const program = findAlertmanager();
if (!program) {
  console.log(
    "prometheus-alertmanager is not installed: its journey is left out (apt-get install prometheus-alertmanager)",
  );
}

type Message = {
  text: string;
  dialect: string;
  attachments: { title: string; fallback: string; color: string }[];
};

test.runIf(program)(
  "firing and resolved alerts of a real Alertmanager are readable, and it logs no error",
  async () => {
    const system = await useRunningSystem();
    await using alertmanager = await startAlertmanager(
      program as string, // runIf
      system.demo.hooks.mattermost,
    );
    const instances = Array.from({ length: 20 }, (_, at) => `db-${at}:9100`);
    const startsAt = new Date().toISOString();
    await alertmanager.post(instances.map((instance) => alertOf(instance, startsAt)));
    await eventually(async () => expect(await titles("FIRING")).toEqual(sorted(instances)));
    const endsAt = new Date().toISOString();
    await alertmanager.post(
      instances.map((instance) => ({ ...alertOf(instance, startsAt), endsAt })),
    );
    await eventually(async () => expect(await titles("RESOLVED")).toEqual(sorted(instances)));
    expect(alertmanager.output()).not.toMatch(/level=error|level=warn/);

    /** The instances of the messages that tell of a state. */
    async function titles(state: string): Promise<string[]> {
      const answer = await fetch(
        `${system.url}/api/headgate/v1/channels/${system.demo.channel.id}/messages?after=0&limit=200`,
        { headers: { authorization: `Bearer ${system.demo.person.token}` } },
      );
      const { data } = (await answer.json()) as { data: Message[] };
      const found = data
        .filter(({ dialect }) => dialect === "mattermost")
        .map(({ attachments }) => attachments[0]?.title ?? "")
        .filter((title) => title.includes(`[${state}`))
        .map((title) => /db-\d+:9100/.exec(title)?.[0] ?? title);
      return sorted(found);
    }
  },
);

function alertOf(instance: string, startsAt: string): Alert {
  return {
    labels: { alertname: "DiskFull", instance, severity: "critical" },
    annotations: { summary: `disk 91 % on ${instance}` },
    startsAt,
  };
}

function sorted(texts: readonly string[]): string[] {
  return [...texts].sort();
}
