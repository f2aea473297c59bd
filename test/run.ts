/**
 * `npm test`: unit, integration and end-to-end tests, one after the other, on real parts. Ends with the line
 * `N passed, N failed`. Arguments go on to vitest: `npm test -- --project unit services/chat`.
 */
import { runVitest } from "./support/vitest-run.ts";

const { tally, exitCode } = await runVitest({ args: process.argv.slice(2) });
process.stdout.write(`\n${tally.passed} passed, ${tally.failed} failed\n`);
process.exitCode = exitCode;
