/** Mistakes that the types of a client must find; each line with one says so. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

type Event = components["schemas"]["Event"];

const client = createClient<paths>({ baseUrl: "" });
const params = { path: { token: "" } };

await client.POST("/in/{token}", { params, body: { txt: "disk 91 %" } }); // mistake
export const event: Event = { text: "disk 91 %", severty: "error" }; // mistake
await client.POST("/in/{token}", { params, body: { text: "disk 91 %", severity: "bad" } }); // mistake
await client.POST("/in/{token}", { params, body: { severity: "error" } }); // mistake
await client.POST("/in/{token}/batch", { params, body: [{ text: "a" }, { tilte: "b" }] }); // mistake
await client.GET("/api/headgate/v1/channels", { params: { query: { nmae: "alerts" } } }); // mistake
export const author = (message: components["schemas"]["Message"]) => message.autor; // mistake
