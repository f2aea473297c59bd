import { createMemoryStore } from "./testing/memory-store.ts";
import { storeSuite } from "./testing/store-suite.ts";

const store = createMemoryStore();
storeSuite(() => store);
