import { expect, test } from "vitest";
import { renderWelcome, type Welcome } from "./welcome.ts";

/** A system that is up, with the demo as the first start makes it. */
function buildWelcome(demo: Partial<Welcome["demo"]> = {}): Welcome {
  const url = "http://127.0.0.1:8065";
  return {
    ...{ url, publicUrl: url, dataDir: "/home/it's/.headgate", logFolder: "/logs" },
    isChecked: true,
    notes: [],
    opsUrls: {
      registry: "http://r",
      "rate-limiter": "http://l",
      chat: "http://c",
      gateway: "http://g",
    },
    demo: {
      url,
      admin: { name: "admin", password: "password-1", token: "hg_admin" },
      team: { id: "t", name: "demo" },
      channel: { id: "c-1", name: "alerts" },
      person: { id: "p", name: "sam", token: "hg_person" },
      hooks: { headgate: `${url}/in/hgi_1`, mattermost: "", monotree: "" },
      parts: { kafka: "", postgres: "", redis: "" },
      ...demo,
    },
  };
}

test("commands to copy send an event and read the messages, and show no token", () => {
  const lines = renderWelcome(buildWelcome());
  expect(lines.at(-1)).toBe("ready http://127.0.0.1:8065");
  expect(lines.filter((line) => line.startsWith("curl"))).toEqual([
    expect.stringContaining("/in/hgi_1"),
    `curl -H "authorization: Bearer $(node -p 'require(process.argv[1]).person.token' '/home/it'\\''s/.headgate/demo.json')" http://127.0.0.1:8065/api/headgate/v1/channels/c-1/messages`,
  ]);
  expect(lines.join("\n")).not.toMatch(/hg_(admin|person)/);
});

test("what the demo does not have is in no command, and notes say why", () => {
  const hooks = { headgate: "", mattermost: "", monotree: "" };
  const person = { id: "p", name: "sam", token: "" };
  const welcome = buildWelcome({ hooks, person });
  const lines = renderWelcome({ ...welcome, notes: ["the demo channel is archived"] });
  expect(lines.filter((line) => line.startsWith("curl"))).toEqual([
    expect.stringContaining("admin.token"),
  ]);
  expect(lines).toContain("note       the demo channel is archived");
  const unchecked = renderWelcome({ ...buildWelcome(), isChecked: false });
  expect(unchecked.join("\n")).not.toContain("curl");
});
