/** A service that does what its argument says, for tests of how processes end. */

import { readEnv } from "@headgate/kit/env";
import { commonFields, runService, stopSignal } from "@headgate/kit/lifecycle";

await runService("trial", async ({ log, env }) => {
  readEnv(env, commonFields);
  switch (process.argv[2]) {
    case "throw":
      throw new Error("main failed");
    case "reject":
      void Promise.reject(new Error("nobody waits"));
      break;
    case "crash":
      setImmediate(() => {
        throw new Error("from nowhere");
      });
      break;
    case "hang":
      log.info("ready");
      await stopSignal();
      await new Promise(() => setInterval(() => {}, 1000));
      break;
  }
  log.info("ready");
  log.info(`stopped by ${await stopSignal()}`);
});
