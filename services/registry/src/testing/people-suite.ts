/** Teams, people, bots, tokens and sessions, played over the rpcs. */
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createId } from "@headgate/kit/ids";
import { TeamRole } from "@headgate/proto/registry/v1/registry";
import { describe, expect, test } from "vitest";
import { by, digest, failureOf, known, openScene, type World } from "./scene.ts";

const PASSWORD = "quiet otter 42";

/** The suite, on whatever `open` opens. */
export function peopleSuite(open: () => Promise<World>): void {
  describe("creates", () => {
    test("answer what is there when they are repeated with their id, and show no secret again", async () => {
      const { manage, admin } = await open();
      const id = createId();
      const request = { actor: by(admin), id, name: `once-${id.slice(-12)}` };
      const first = await manage.createTeam(request);
      const again = await manage.createTeam(request);
      expect([first.existed, again.existed]).toEqual([false, true]);
      expect(again.team).toEqual(first.team);
      const tokenId = createId();
      const token = await manage.createToken({ actor: by(admin), id: tokenId, name: tokenId });
      const retold = await manage.createToken({ actor: by(admin), id: tokenId, name: tokenId });
      expect(token.secret).toMatch(/^hg_[A-Za-z0-9_-]{43}$/);
      expect([retold.existed, retold.secret]).toEqual([true, ""]);
    });

    test("make one thing when the same create runs many times at once", async () => {
      const world = await open();
      const { member, teamId } = await openScene(world);
      const request = { actor: by(member), id: createId(), teamId, name: "race" };
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => world.manage.createChannel(request)),
      );
      expect(answers.filter(({ existed }) => !existed)).toHaveLength(1);
      expect(new Set(answers.map(({ channel }) => channel?.number)).size).toBe(1);
    });

    test("let one of many win a name, and tell the others that it is taken", async () => {
      const world = await open();
      const { member, teamId } = await openScene(world);
      const results = await Promise.allSettled(
        Array.from({ length: 6 }, () =>
          world.manage.createChannel({ actor: by(member), teamId, name: "wanted" }),
        ),
      );
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      const again = world.manage.createChannel({ actor: by(member), teamId, name: "wanted" });
      const failure = await failureOf(again);
      expect([failure.code, failure.reason]).toEqual(["already_exists", "name_taken"]);
    });

    test("refuse an id that somebody else's create took", async () => {
      const world = await open();
      const { member, other, teamId } = await openScene(world);
      const id = createId();
      await world.manage.createChannel({ actor: by(member), id, teamId, name: "first" });
      const late = world.manage.createChannel({ actor: by(other), id, teamId, name: "second" });
      expect((await failureOf(late)).reason).toBe("id_taken");
    });

    test("name every faulty field at once", async () => {
      const { manage, admin } = await open();
      const team = manage.createTeam({
        actor: by(admin),
        id: "1",
        name: "No Handle",
        displayName: "a\0b",
        host: "HTTP://x",
        zone: "Mars/Olympus",
      });
      expect((await failureOf(team)).pointers).toEqual([
        "/id",
        "/name",
        "/display_name",
        "/host",
        "/zone",
      ]);
      const user = manage.createUser({
        actor: by(admin),
        name: "channel",
        email: "nobody",
        password: "short",
        iconUrl: "ftp://x",
        teamId: createId(),
      });
      const failure = await failureOf(user);
      expect([failure.code, failure.reason]).toEqual(["invalid_argument", "fields_invalid"]);
      expect(failure.pointers).toEqual(["/name", "/icon_url", "/email", "/password", "/team_id"]);
    });
  });

  describe("teams", () => {
    test("change the role of a member, and do nothing for the role they have", async () => {
      const { manage, announced, ...world } = await open();
      const { leader, guest, teamId } = await openScene({ manage, announced, ...world });
      const request = { actor: by(leader), teamId, userId: guest.id, role: TeamRole.MEMBER };
      const changed = await manage.setTeamMember(request);
      expect([changed.created, changed.member?.role]).toEqual([false, TeamRole.MEMBER]);
      const count = (await announced()).length;
      await manage.setTeamMember(request);
      expect(await announced()).toHaveLength(count);
    });

    test("take who leaves out of the channels too, and say that it is so", async () => {
      const { manage, announced, ...world } = await open();
      const { member, closed, teamId } = await openScene({ manage, announced, ...world });
      await manage.removeTeamMember({ actor: by(member), teamId, userId: member.id });
      const tail = (await announced()).slice(-2);
      expect(tail).toEqual([
        { key: `channel_member:${closed.id}:${member.id}`, value: null },
        { key: `team_member:${teamId}:${member.id}`, value: null },
      ]);
      expect((await manage.listTeams({ actor: by(member) })).teams).toEqual([]);
    });

    test("page their members both ways without a gap", async () => {
      const world = await open();
      const { leader, teamId } = await openScene(world);
      const page = async (bound: { case: "after" | "before"; value: bigint } | undefined) => {
        const request = { actor: by(leader), teamId, page: { limit: 2, bound } };
        return (await world.manage.listTeamMembers(request)).members.map(
          ({ position }) => position,
        );
      };
      const forward: bigint[] = [];
      for (let next = await page({ case: "after", value: 0n }); next.length > 0; ) {
        forward.push(...next);
        next = await page({ case: "after", value: known(next.at(-1)) });
      }
      const backward: bigint[] = [];
      for (let next = await page(undefined); next.length > 0; ) {
        backward.push(...next);
        next = await page({ case: "before", value: known(next.at(-1)) });
      }
      expect(forward).toHaveLength(5); // the system admin made the team
      expect(backward).toEqual(forward.toReversed());
    });
  });

  describe("people", () => {
    test("are dead to every token and session the moment they are deactivated", async () => {
      const { ask, manage, announced, admin } = await open();
      const { suffix } = await openScene({ ask, manage, announced, admin });
      const name = `mortal-${suffix}`;
      const created = await manage.createUser({ actor: by(admin), name, password: PASSWORD });
      const user = known(created.user);
      const { secret, token } = await manage.createToken({ actor: by(user), name: "t" });
      const session = await ask.logIn({ name: name.toUpperCase(), password: PASSWORD });
      expect((await ask.resolveToken(digest(secret))).user?.name).toBe(name);
      expect((await ask.resolveToken(digest(session.token))).token?.isSession).toBe(true);
      await manage.deactivateUser({ actor: by(admin), id: user.id });
      for (const dead of [secret, session.token]) {
        const failure = await failureOf(ask.resolveToken(digest(dead)));
        const unknown = await failureOf(ask.resolveToken(digest("hg_nobody's")));
        expect(failure).toEqual(unknown);
        expect(failure.code).toBe("unauthenticated");
      }
      const revoked = (await announced()).filter(({ key }) => key === `token:${token?.id}`);
      expect(revoked.map(({ value }) => value?.subject.case)).toEqual(["revokedToken", undefined]);
      expect((await failureOf(ask.logIn({ name, password: PASSWORD }))).reason).toBe("login_wrong");
    });

    test("end their sessions, not their tokens, by a new password", async () => {
      const { ask, manage, announced, admin } = await open();
      const { suffix } = await openScene({ ask, manage, announced, admin });
      const name = `careful-${suffix}`;
      const created = await manage.createUser({ actor: by(admin), name, password: PASSWORD });
      const user = known(created.user);
      const { secret } = await manage.createToken({ actor: by(user), name: "t" });
      const session = await ask.logIn({ name, password: PASSWORD });
      await manage.updateUser({ actor: by(user), id: user.id, password: "a new one of mine" });
      expect((await failureOf(ask.resolveToken(digest(session.token)))).code).toBe(
        "unauthenticated",
      );
      expect((await ask.resolveToken(digest(secret))).user?.id).toBe(user.id);
      expect((await failureOf(ask.logIn({ name, password: PASSWORD }))).reason).toBe("login_wrong");
      expect((await ask.logIn({ name, password: "a new one of mine" })).user?.id).toBe(user.id);
    });

    test("get no password that is easy to guess, and are told what to do", async () => {
      const { manage, admin, ...world } = await open();
      const { member, suffix } = await openScene({ manage, admin, ...world });
      for (const password of ["password", "12345678", "short", `weak-${suffix}`]) {
        const made = manage.createUser({ actor: by(admin), name: `weak-${suffix}`, password });
        expect((await failureOf(made)).pointers).toEqual(["/password"]);
      }
      for (const password of ["password", "12345678", member.name]) {
        const changed = manage.updateUser({ actor: by(member), id: member.id, password });
        expect((await failureOf(changed)).pointers).toEqual(["/password"]);
      }
    });

    test("cannot make themselves system admins, nor switch others off", async () => {
      const world = await open();
      const { member } = await openScene(world);
      const rise = world.manage.updateUser({
        actor: by(member),
        id: member.id,
        isSystemAdmin: true,
      });
      expect((await failureOf(rise)).code).toBe("permission_denied");
      const end = world.manage.deactivateUser({ actor: by(member), id: member.id });
      expect((await failureOf(end)).code).toBe("permission_denied");
    });

    test("show their email to themselves and to system admins", async () => {
      const { manage, ...world } = await open();
      const { member, other } = await openScene({ manage, ...world });
      await manage.updateUser({ actor: by(member), id: member.id, email: "m@example.org" });
      const read = async (viewer: { id: string }) =>
        (await manage.getUser({ actor: by(viewer), id: member.id })).user?.email;
      expect(await Promise.all([member, world.admin, other].map(read))).toEqual([
        "m@example.org",
        "m@example.org",
        "",
      ]);
    });
  });

  describe("tokens", () => {
    test("are made for oneself and own bots only", async () => {
      const world = await open();
      const { member, other, teamId, suffix } = await openScene(world);
      const { bot } = await world.manage.createBot({
        actor: by(member),
        teamId,
        name: `bot-${suffix}`,
      });
      const request = { userId: known(bot).id, name: "t" };
      const made = await world.manage.createToken({ actor: by(member), ...request });
      expect((await world.ask.resolveToken(digest(made.secret))).user?.isBot).toBe(true);
      const failure = await failureOf(world.manage.createToken({ actor: by(other), ...request }));
      expect(failure.pointers).toEqual(["/user_id"]);
    });

    test("stop working at their time and when they are revoked", async () => {
      const { ask, manage, admin } = await open();
      const past = manage.createToken({
        actor: by(admin),
        name: createId(),
        expiresAt: timestampFromDate(new Date(0)),
      });
      expect((await failureOf(past)).pointers).toEqual(["/expires_at"]);
      const { secret, token } = await manage.createToken({ actor: by(admin), name: createId() });
      await manage.revokeToken({ actor: by(admin), id: known(token).id });
      await manage.revokeToken({ actor: by(admin), id: known(token).id });
      expect((await failureOf(ask.resolveToken(digest(secret)))).reason).toBe("token_unknown");
    });

    test("end with a log-out when they are sessions, and only then", async () => {
      const { ask, manage, announced, admin } = await open();
      const { suffix } = await openScene({ ask, manage, announced, admin });
      const name = `brief-${suffix}`;
      await manage.createUser({ actor: by(admin), name, password: PASSWORD });
      const session = await ask.logIn({ name, password: PASSWORD });
      const days = (timestampDate(known(session.expiresAt)).getTime() - Date.now()) / 86_400_000;
      expect(Math.abs(days - 30)).toBeLessThan(1);
      const { secret } = await manage.createToken({ actor: by(known(session.user)), name: "t" });
      for (const dead of [session.token, session.token, secret, "hg_nobody's"]) {
        await ask.logOut(digest(dead));
      }
      expect((await failureOf(ask.resolveToken(digest(session.token)))).code).toBe(
        "unauthenticated",
      );
      expect((await ask.resolveToken(digest(secret))).user?.name).toBe(name);
    });
  });
}
