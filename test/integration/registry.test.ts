import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { userOf } from "@headgate/gateway/clients";
import { openClient, serveRpc } from "@headgate/kit/grpc";
import { createId } from "@headgate/kit/ids";
import { type Kafka, openKafka, provisionTopics, type RawRecord } from "@headgate/kit/kafka";
import { addToOutbox, lockOutbox, openOutboxRelay } from "@headgate/kit/outbox";
import { migrate, openPostgres } from "@headgate/kit/postgres";
import { ManagementService } from "@headgate/proto/registry/v1/management";
import {
  HookAction,
  IncomingHookSchema,
  type RegistryChanged,
  RegistryChangedSchema,
  RegistryService,
} from "@headgate/proto/registry/v1/registry";
import { topics } from "@headgate/proto/topics";
import { createSealer, createToken } from "@headgate/registry/credential";
import { createRegistryRpc } from "@headgate/registry/grpc";
import { createPasswords } from "@headgate/registry/password";
import { createRegistryService } from "@headgate/registry/service";
import { createStore, SCHEMA } from "@headgate/registry/store";
import { accessLossSuite } from "@headgate/registry/testing/access-loss-suite";
import { hooksSuite } from "@headgate/registry/testing/hooks-suite";
import { peopleSuite } from "@headgate/registry/testing/people-suite";
import { permissionsSuite } from "@headgate/registry/testing/permissions-suite";
import {
  by,
  callRules,
  digest,
  failureOf,
  known,
  openScene,
  type World,
} from "@headgate/registry/testing/scene";
import { createThrottle } from "@headgate/registry/throttle";
import { openHealing } from "@headgate/registry/upkeep";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";
import { createIssuer, type Issuer } from "../support/identity.ts";
import { freshDatabase, useParts } from "../support/parts.ts";

const SERVICE = path.resolve(import.meta.dirname, "../../services/registry");
const FOLDER = path.join(SERVICE, "migrations");
const ADMIN = { name: "admin", password: "first password", token: createToken() };

/** An empty database with the registry's schema. */
async function openDatabase(): Promise<string> {
  const { databaseUrl } = await useParts();
  const name = `registry_${randomBytes(6).toString("hex")}`;
  const url = await freshDatabase(databaseUrl, name);
  await migrate({ url, schema: SCHEMA, folder: FOLDER, log: createCollectedLog().log });
  return url;
}

/** A registry on a database, without relay; each is a replica. */
async function openRegistry(url: string, onAnnounced: () => void = () => {}) {
  const { log } = createCollectedLog();
  const db = await openPostgres({ url, poolMax: 5, statementTimeoutMs: 30_000, log });
  await eventually(() => db.query("select 1")); // a busy server may be slow to take the first connection
  const registry = createRegistryService({
    store: createStore({
      db,
      outbox: {
        add: (tx, records) => addToOutbox(tx, SCHEMA, records),
        lock: (tx) => lockOutbox(tx, SCHEMA),
      },
      headers: () => ({}),
      onAnnounced,
    }),
    now: () => new Date(),
    createId,
    passwords: createPasswords({ logN: 4 }),
    throttle: createThrottle(),
    sealer: createSealer(randomBytes(32)),
    servedActions: new Set([HookAction.CHAT_MESSAGE, HookAction.DIRECT_MESSAGE]),
  });
  return { db, registry };
}

/** How a gateway reaches the registry at a port. */
function peerOf({ access }: Issuer, port: number) {
  return { address: `127.0.0.1:${port}`, audience: "registry", access, deadlineMs: 30_000 };
}

/** A registry behind its real rpcs, with its first system admin. */
async function openServed() {
  const scope = new AsyncDisposableStack();
  const { log } = createCollectedLog();
  const { db, registry } = await openRegistry(await openDatabase());
  scope.use(db);
  await registry.ensureFirstAdmin(ADMIN);
  const services = createRegistryRpc(registry);
  const gateway = createIssuer();
  const access = gateway.accessOf("registry");
  const { port } = scope.use(await serveRpc({ host: "127.0.0.1", port: 0, services, access, log }));
  const peer = peerOf(gateway, port);
  const ask = scope.use(openClient(RegistryService, peer));
  const manage = scope.use(openClient(ManagementService, { ...peer, userOf }));
  const { user } = await ask.resolveToken(digest(ADMIN.token));
  const world: World = { ask, manage, admin: known(user), announced: () => readOutbox(db) };
  return { world, db, registry, scope, gateway, port };
}

type Queries = Awaited<ReturnType<typeof openRegistry>>["db"];

async function readOutbox(db: Queries) {
  const rows = await db.query<{ key: string; value: Buffer | null }>(
    "select key, value from registry.outbox order by id",
  );
  return rows.map(({ key, value }) => ({
    key,
    value: value && fromBinary(RegistryChangedSchema, value),
  }));
}

async function count(db: Queries, table: string): Promise<number> {
  const [row] = await db.query<{ n: number }>(
    `select count(*)::integer as n from registry.${table}`,
  );
  return row?.n ?? -1;
}

test("the order of creation of a database from before it had one is by time, then by id", async () => {
  const { databaseUrl } = await useParts();
  const url = await freshDatabase(databaseUrl, `registry_${randomBytes(6).toString("hex")}`);
  const { log } = createCollectedLog();
  const folder = await mkdtemp(path.join(tmpdir(), "headgate-migrations-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const files = (await readdir(FOLDER)).sort();
  const copy = async (names: string[]) => {
    for (const name of names) await copyFile(path.join(FOLDER, name), path.join(folder, name));
  };
  await copy(files.slice(0, 3));
  await migrate({ url, schema: SCHEMA, folder, log });
  await using db = await openPostgres({ url, poolMax: 2, log });
  const ids = ["30", "20", "10", "40"].map((start) => `${start}${randomUUID().slice(2)}`);
  const days = [1, 1, 2, 3];
  for (const [at, id] of ids.entries()) {
    await db.query(
      `insert into registry.teams
         (id, number, name, display_name, creator_id, created_at, updated_at)
       values ($1, $2, $3, $3, $1, $4, $4)`,
      [id, at + 1, `team-${at}`, new Date(Date.UTC(2026, 0, days[at]))],
    );
  }
  await copy(files);
  await migrate({ url, schema: SCHEMA, folder, log });
  const rows = await db.query<{ id: string }>("select id from registry.teams order by position");
  expect(rows.map(({ id }) => id)).toEqual([1, 0, 2, 3].map((at) => ids[at]));
  const [place] = await db.query<{ last: string }>("select last from registry.positions");
  expect(place?.last).toBe("4");
});

describe("over rpc and Postgres", () => {
  let opened: Awaited<ReturnType<typeof openServed>>;
  beforeAll(async () => {
    opened = await openServed();
    return () => opened.scope.disposeAsync();
  });
  const open = async () => opened.world;

  permissionsSuite(open);
  accessLossSuite(open);
  peopleSuite(open);
  hooksSuite(open);

  test("what an older release left to people and bots is withdrawn once, and a loss leaves nothing", async () => {
    const { world, db, registry } = opened;
    const { manage } = world;
    expect(await registry.withdrawLeftovers()).toBe(0); // after all the losses of the suites
    const { member, other, teamId, closed, open: channel } = await openScene(world);
    const draft = { dialect: "headgate", action: HookAction.CHAT_MESSAGE, name: "left" };
    const hookOf = async (owner: { id: string }, targetId: string) =>
      known((await manage.createIncomingHook({ actor: by(owner), ...draft, targetId })).hook);
    const gone = await hookOf(member, closed.id);
    const stays = await hookOf(other, channel.id);
    const { token, secret } = await manage.createToken({
      actor: by(member),
      userId: gone.botId,
      name: "t",
    });
    expect(token).toBeDefined();
    await db.query("update registry.users set deactivated_at = now() where id = $1", [member.id]);
    expect(await registry.withdrawLeftovers()).toBe(1);
    expect(await registry.withdrawLeftovers()).toBe(0);
    const states = await db.query<{ state: number }>(
      "select state from registry.incoming_hooks where id = any($1)",
      [[gone.id, stays.id]],
    );
    expect(states.map(({ state }) => state).sort()).toEqual([1, 2]);
    expect((await failureOf(world.ask.resolveToken(digest(secret)))).reason).toBe("token_unknown");
    await db.query("delete from registry.team_members where team_id = $1 and user_id = $2", [
      teamId,
      other.id,
    ]);
    expect(await registry.withdrawLeftovers()).toBe(1);
    const [left] = await db.query(
      "select state, disabled_reason from registry.incoming_hooks where id = $1",
      [stays.id],
    );
    expect(left).toEqual({ state: 2, disabled_reason: 2 });
  });

  test("a poller misses nothing that is created meanwhile, with ids in any order", async () => {
    const { world } = opened;
    const { manage } = world;
    const { member, teamId, open: channel } = await openScene(world);
    const actor = by(member);
    const polled = {
      channels: async (after: bigint) => (await manage.listChannels(pageAfter(after))).channels,
      hooks: async (after: bigint) => (await manage.listIncomingHooks(pageAfter(after))).hooks,
      bots: async (after: bigint) =>
        (await manage.listUsers({ ...pageAfter(after), isBot: true })).users,
      tokens: async (after: bigint) => (await manage.listTokens(pageAfter(after))).tokens,
    };
    // Random ids, as an Idempotency-Key makes them.
    const makers: readonly ((id: string) => Promise<unknown>)[] = [
      (id) => manage.createChannel({ actor, id, teamId, name: id }),
      (id) => manage.createBot({ actor, id, teamId, name: id }),
      (id) => manage.createToken({ actor, id, name: id }),
      (id) =>
        manage.createIncomingHook({
          actor,
          id,
          dialect: "headgate",
          action: HookAction.CHAT_MESSAGE,
          targetId: channel.id,
          name: id,
        }),
    ];
    const made = new Set<string>();
    let isMaking = true;
    const making = Promise.all(
      Array.from({ length: 8 }, async (_, worker) => {
        for (let count = 0; count < 20; count++) {
          const id = randomUUID();
          await makers[(worker + count) % makers.length]?.(id);
          made.add(id);
        }
      }),
    ).finally(() => {
      isMaking = false;
    });
    const seen = await Promise.all(
      Object.values(polled).map(async (list) => {
        const found: { id: string; position: bigint }[] = [];
        for (let isLast = false; ; ) {
          const wasMaking = isMaking;
          const page = await list(found.at(-1)?.position ?? 0n);
          found.push(...page);
          if (page.length === 0 && isLast) return found;
          isLast = !wasMaking;
        }
      }),
    );
    await making;
    const ids = new Set(seen.flat().map(({ id }) => id));
    expect([...made].filter((id) => !ids.has(id))).toEqual([]);
    for (const found of seen) {
      const positions = found.map(({ position }) => position);
      expect(positions).toEqual([...new Set(positions)].sort((one, other) => Number(one - other)));
    }

    function pageAfter(value: bigint) {
      return { actor, page: { limit: 3, bound: { case: "after" as const, value } } };
    }
  });

  test("a hook that is made while its owner leaves the team is refused or disabled", async () => {
    const { world, db } = opened;
    const { manage } = world;
    for (let round = 0; round < 20; round++) {
      const { member, leader, teamId, open: channel } = await openScene(world);
      const draft = { dialect: "headgate", action: HookAction.CHAT_MESSAGE, name: "late" };
      const make = () =>
        manage.createIncomingHook({ actor: by(member), ...draft, targetId: channel.id });
      const remove = { actor: by(leader), teamId, userId: member.id };
      await Promise.allSettled([make(), make(), manage.removeTeamMember(remove), make()]);
      const active = await db.query(
        "select id from registry.incoming_hooks where owner_id = $1 and state = 1",
        [member.id],
      );
      expect(active).toEqual([]);
    }
  });

  test("a change that fails leaves neither row, audit nor announcement", async () => {
    const { world, db } = opened;
    const { member, teamId } = await openScene(world);
    const tables = ["users", "incoming_hooks", "hook_credentials", "audit", "outbox"];
    const countAll = () => Promise.all(tables.map((table) => count(db, table)));
    const before = await countAll();
    const taken = world.manage.createChannel({ actor: by(member), teamId, name: "open" });
    expect((await failureOf(taken)).reason).toBe("name_taken");
    expect(await countAll()).toEqual(before);
  });

  test("tokens, passwords and credentials are in no table but as digests, hashes and sealed bytes", async () => {
    const { world, db } = opened;
    const { member, open: channel, suffix } = await openScene(world);
    const { manage, ask, admin } = world;
    const password = `very secret ${suffix}`;
    const name = `keeper-${suffix}`;
    await manage.createUser({ actor: by(admin), name, password });
    const session = await ask.logIn({ name, password });
    const { secret } = await manage.createToken({ actor: by(member), name: "t" });
    const hooks = await Promise.all(
      ["headgate", "monotree", "mattermost"].map((dialect) =>
        manage.createIncomingHook({
          actor: by(member),
          dialect,
          action: HookAction.CHAT_MESSAGE,
          targetId: channel.id,
          name: "h",
        }),
      ),
    );
    const secrets = [password, secret, session.token, ...hooks.map(({ credential }) => credential)];
    const tables = await db.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = 'registry'",
    );
    for (const { name: table } of tables) {
      const [row] = await db.query<{ all: string | null }>(
        `select string_agg(t::text, '') as all from registry.${table} t`,
      );
      const hex = (text: string) => Buffer.from(text, "utf8").toString("hex");
      for (const hidden of secrets) {
        expect(row?.all ?? "").not.toContain(hidden);
        expect(row?.all ?? "").not.toContain(hex(hidden));
      }
    }
    const sealed = await db.query<{ dialect: string; is_sealed: boolean }>(
      `select h.dialect, k.sealed is not null as is_sealed from registry.hook_credentials k
       join registry.incoming_hooks h on h.id = k.hook_id where h.owner_id = $1 order by h.dialect`,
      [member.id],
    );
    expect(sealed.map((row) => row.is_sealed)).toEqual([false, true, false]);
  });

  test("blocks of numbers never overlap, neither each other nor the numbers of things", async () => {
    const { world } = opened;
    const { open: channel, closed } = await openScene(world);
    const lanes = Array.from({ length: 5 }, async (_, lane) => {
      const own: bigint[] = [];
      for (let turn = 0; turn < 12; turn++) {
        const size = 1 + ((lane + turn) % 7);
        const { first } = await world.ask.reserveNumbers({ count: size });
        own.push(...Array.from({ length: size }, (_, step) => first + BigInt(step)));
      }
      return own;
    });
    const numbers = (await Promise.all(lanes)).flat();
    expect(new Set([...numbers, channel.number, closed.number]).size).toBe(numbers.length + 2);
    expect(numbers.every((number) => number >= 1n)).toBe(true);
    for (const wrong of [0, 100_001]) {
      expect((await failureOf(world.ask.reserveNumbers({ count: wrong }))).pointers).toEqual([
        "/count",
      ]);
    }
  });

  test("a grace ends at its time for who asks, and the sweep tells the others", async () => {
    const { world, registry } = opened;
    const { member, open: channel } = await openScene(world);
    const { hook, credential } = await world.manage.createIncomingHook({
      actor: by(member),
      dialect: "headgate",
      action: HookAction.CHAT_MESSAGE,
      targetId: channel.id,
      name: "h",
    });
    const id = known(hook).id;
    await world.manage.rotateIncomingHook({ actor: by(member), id, graceSeconds: 5 });
    expect((await world.ask.resolveHook(digest(credential))).hook?.id).toBe(id);
    await eventually(async () => {
      expect((await failureOf(world.ask.resolveHook(digest(credential)))).code).toBe("not_found");
    });
    expect(await registry.expireCredentials()).toBe(1);
    const told = (await world.announced()).filter(({ key }) => key === `hook:${id}`);
    const last = told.at(-1)?.value?.subject;
    expect(last?.case === "hook" && last.value.credentialDigests).toHaveLength(1);
  });

  test("a channel that is archived while hooks of Mattermost are made keeps none of them", async () => {
    const { world } = opened;
    const { leader, member, open: channel } = await openScene(world);
    const make = () =>
      world.manage.createIncomingHook({
        actor: by(member),
        dialect: "mattermost",
        action: HookAction.CHAT_MESSAGE,
        targetId: channel.id,
        name: "h",
      });
    const archive = world.manage.archiveChannel({ actor: by(leader), id: channel.id });
    await Promise.allSettled([make(), make(), archive, make(), make()]);
    const left = await world.manage.listIncomingHooks({ actor: by(leader), targetId: channel.id });
    expect(left.hooks).toEqual([]);
  });

  test("two admins who demote each other leave one", async () => {
    const { world } = opened;
    const { manage, admin } = world;
    const name = `second-${randomBytes(4).toString("hex")}`;
    const { user } = await manage.createUser({ actor: by(admin), name, isSystemAdmin: true });
    const second = known(user);
    const outcomes = await Promise.allSettled([
      manage.updateUser({ actor: by(admin), id: second.id, isSystemAdmin: false }),
      manage.deactivateUser({ actor: by(admin), id: second.id }),
      manage.updateUser({ actor: by(second), id: second.id, isSystemAdmin: false }),
    ]);
    expect(outcomes.some(({ status }) => status === "fulfilled")).toBe(true);
    const alone = manage.updateUser({ actor: by(admin), id: admin.id, isSystemAdmin: false });
    expect((await failureOf(alone)).reason).toBe("last_admin");
  });
});

test("two replicas that start at once make one first admin", async () => {
  const url = await openDatabase();
  await using scope = new AsyncDisposableStack();
  const replicas = await Promise.all([openRegistry(url), openRegistry(url), openRegistry(url)]);
  for (const { db } of replicas) scope.use(db);
  const made = await Promise.all(replicas.map(({ registry }) => registry.ensureFirstAdmin(ADMIN)));
  expect(made.filter(Boolean)).toHaveLength(1);
  expect(await count(known(replicas[0]).db, "users")).toBe(1);
});

describe("the identity of a call", () => {
  /** A served registry, and a client of management in the name of one account whatever its requests say. */
  async function openAs() {
    const opened = await openServed();
    onTestFinished(() => opened.scope.disposeAsync());
    const { scope, gateway, port, world } = opened;
    const scene = await openScene(world);
    const as = (userId: string | undefined, issuer = gateway) =>
      scope.use(openClient(ManagementService, { ...peerOf(issuer, port), userOf: () => userId }));
    const askAs = (userId: string | undefined) =>
      scope.use(openClient(RegistryService, { ...peerOf(gateway, port), userOf: () => userId }));
    return { ...opened, ...scene, as, askAs };
  }

  test("is the only actor that a request may name", async () => {
    const { as, world, member, db } = await openAs();
    const mine = as(member.id);
    const tokens = await count(db, "tokens");
    const asAdmin = mine.createToken({ actor: by(world.admin), name: "mine" });
    expect(await failureOf(asAdmin)).toMatchObject({
      code: "permission_denied",
      reason: "actor_not_caller",
    });
    const asNobody = mine.createToken({ name: "mine" });
    expect((await failureOf(asNobody)).reason).toBe("actor_not_caller");
    expect(await count(db, "tokens")).toBe(tokens);
    const { token } = await mine.createToken({ actor: by(member), name: "mine" });
    expect(token?.userId).toBe(member.id);
  });

  test("of no account manages nothing", async () => {
    const { as, world } = await openAs();
    const failure = await failureOf(as(undefined).listUsers({ actor: by(world.admin) }));
    expect(failure.reason).toBe("identity_not_allowed");
  });

  test("of an account may ask nothing that is for the gateway", async () => {
    const { askAs, world } = await openAs();
    const ask = askAs(world.admin.id);
    const calls = [
      ask.resolveToken(digest(ADMIN.token)),
      ask.lookUp({ thing: { case: "userId", value: world.admin.id } }),
      ask.logIn({ name: ADMIN.name, password: ADMIN.password }),
      ask.reserveNumbers({ count: 1 }),
    ];
    const reasons = (await Promise.all(calls.map(failureOf))).map(({ reason }) => reason);
    expect(reasons).toEqual(calls.map(() => "identity_not_allowed"));
  });
});

describe("the announcements", () => {
  /** A topic like the registry's, of the test's own. */
  async function openLog() {
    const { kafkaBrokers } = await useParts();
    const { log } = createCollectedLog();
    const name = `registry.changed.test-${randomUUID()}`;
    const topic = { ...topics.registryChanged, name };
    await provisionTopics({ brokers: kafkaBrokers, topics: [topic], groups: {}, log });
    const kafka = await openKafka({ brokers: kafkaBrokers, clientId: "registry-test", log });
    onTestFinished(() => kafka[Symbol.asyncDispose]());
    const publish = (records: readonly RawRecord[]) =>
      kafka.publishRaw(records.map((record) => ({ ...record, topic: name })));
    const follow: Kafka["follow"] = (asked, options, onRecords) =>
      kafka.follow({ ...asked, name }, options, onRecords);
    const seen: { key: string; value: RegistryChanged | null }[] = [];
    const tail = await kafka.follow(topic, { from: "start" }, (records) => {
      seen.push(...records.map(({ key, value }) => ({ key, value })));
    });
    onTestFinished(() => tail[Symbol.asyncDispose]());
    return { publish, follow, seen };
  }

  test("reach the topic in the order of the changes, each with its thing as it is now", async () => {
    const { publish, seen } = await openLog();
    let nudge = () => {};
    const { db, registry } = await openRegistry(await openDatabase(), () => nudge());
    const { log } = createCollectedLog();
    const relay = await openOutboxRelay({ db, schema: SCHEMA, publish, log });
    nudge = relay.nudge;
    onTestFinished(async () => {
      await relay[Symbol.asyncDispose]();
      await db[Symbol.asyncDispose]();
    });
    await registry.ensureFirstAdmin(ADMIN);
    const { ask, manage } = callRules(registry);
    const user = known((await ask.resolveToken(digest(ADMIN.token))).user);
    const actor = by(user);
    const { team } = await manage.createTeam({ actor, name: "demo" });
    const teamId = known(team).id;
    const { channel } = await manage.createChannel({ actor, teamId, name: "alerts" });
    const { hook } = await manage.createIncomingHook({
      actor,
      dialect: "mattermost",
      action: HookAction.CHAT_MESSAGE,
      targetId: known(channel).id,
    });
    await manage.deleteIncomingHook({ actor, id: known(hook).id });
    const hookKey = `hook:${hook?.id}`;
    await eventually(() => expect(seen.at(-1)).toEqual({ key: hookKey, value: null }));
    expect(seen.map(({ key }) => key)).toEqual([
      `user:${user.id}`,
      `team:${teamId}`,
      `team_member:${teamId}:${user.id}`,
      `channel:${channel?.id}`,
      `channel_member:${channel?.id}:${user.id}`,
      hookKey,
      hookKey,
    ]);
    const told = seen[5]?.value?.subject;
    const shown = told?.case === "hook" && toJson(IncomingHookSchema, told.value);
    expect(shown).toEqual(toJson(IncomingHookSchema, known(hook)));
    await eventually(async () => expect(await count(db, "outbox")).toBe(0));
  });

  test("are all made anew for a topic that is empty, and not for one that is not", async () => {
    const { publish, follow, seen } = await openLog();
    const { db, registry } = await openRegistry(await openDatabase());
    onTestFinished(() => db[Symbol.asyncDispose]());
    await registry.ensureFirstAdmin(ADMIN);
    await db.query("delete from registry.outbox"); // went to a Kafka that is no more
    const { log, lines } = createCollectedLog();
    const healing = await openHealing({ registry, follow, log });
    await eventually(async () => expect(await count(db, "outbox")).toBe(1));
    await healing[Symbol.asyncDispose]();
    const relay = await openOutboxRelay({ db, schema: SCHEMA, publish, log });
    onTestFinished(() => relay[Symbol.asyncDispose]());
    await eventually(() => expect(seen).toHaveLength(1));
    await using _again = await openHealing({ registry, follow, log });
    await registry.expireCredentials();
    expect(lines.filter(({ msg }) => msg === "registry.announced_all")).toHaveLength(1);
  });
});

describe("the process", () => {
  /** Starts main.ts; answers its output and its rpc address once it listens. */
  async function start(env: Record<string, string>) {
    const child: ChildProcess = spawn(process.execPath, [path.join(SERVICE, "src/main.ts")], {
      env: { PATH: process.env.PATH, HEADGATE_HOST: "127.0.0.1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        output += chunk.toString("utf8");
      });
    }
    const exited = once(child, "close"); // when all that it said is here too
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await exited;
    });
    return { child, exited, output: () => output };
  }

  test("serves while Kafka is away, tells no secret, and ends on SIGTERM", async () => {
    const url = await openDatabase();
    const gateway = createIssuer();
    const { child, exited, output } = await start({
      DATABASE_URL: url,
      HEADGATE_RPC_VERIFY_KEYS: gateway.verifySetting,
      KAFKA_BROKERS: "127.0.0.1:1",
      HEADGATE_GRPC_PORT: "0",
      HEADGATE_OPS_PORT: "0",
      HEADGATE_SECRET_KEY: randomBytes(32).toString("base64"),
      HEADGATE_ADMIN_NAME: ADMIN.name,
      HEADGATE_ADMIN_PASSWORD: ADMIN.password,
      HEADGATE_ADMIN_TOKEN: ADMIN.token,
    });
    const port = await eventually(() => {
      const found = /"msg":"rpc.listening".*"port":(\d+)/.exec(output());
      return found?.[1] ?? false;
    });
    await using ask = openClient(RegistryService, peerOf(gateway, Number(port)));
    const { user } = await ask.resolveToken(digest(ADMIN.token));
    expect(user?.isSystemAdmin).toBe(true);
    const session = await ask.logIn({ name: ADMIN.name, password: ADMIN.password });
    await failureOf(ask.logIn({ name: ADMIN.name, password: "not the password" }));
    child.kill("SIGTERM");
    const [code] = await exited;
    expect(code).toBe(0);
    const secrets = [ADMIN.token, ADMIN.password, session.token, "not the password"];
    for (const hidden of secrets) expect(output()).not.toContain(hidden);
  });

  test("names all faulty settings at once and exits with 78", async () => {
    const { exited, output } = await start({ HEADGATE_GRCP_PORT: "1" });
    const [code] = await exited;
    expect(code).toBe(78);
    for (const name of [
      "DATABASE_URL",
      "KAFKA_BROKERS",
      "HEADGATE_SECRET_KEY",
      "HEADGATE_GRCP_PORT",
    ]) {
      expect(output()).toContain(name);
    }
  });
});
