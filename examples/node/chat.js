// Asks a mesh for an answer, for one piece by piece, and for one of a model that does not exist.
//   node chat.js [host:port] [question]     MESH_API_KEY holds the key, if the mesh wants one
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Role } from "./gen/llmmesh/chat/v1/chat_pb.js";
import { RouterService } from "./gen/llmmesh/router/v1/router_pb.js";

const [address = "127.0.0.1:7400", question = "say: hello from Node"] = process.argv.slice(2);
const key = process.env.MESH_API_KEY;
const headers = key ? { authorization: `Bearer ${key}` } : {};
const mesh = createClient(RouterService, createGrpcTransport({ baseUrl: `http://${address}` }));
// Every call says how long its caller waits: the mesh gives up then, at the vendor too.
const options = { headers, timeoutMs: 60_000 };

const text = (words) => ({ kind: { case: "text", value: { text: words } } });
const prompt = { messages: [{ role: Role.USER, parts: [text(question)] }] };

const { completion, route } = await mesh.generate({ intent: { useCase: "default" }, prompt }, options);
const parts = completion.choices[0].parts.filter((part) => part.kind.case === "text");
console.log(`whole:    ${parts.map((part) => part.kind.value.text).join("")}`);
console.log(`served by ${route.offer} for ${Number(route.totalCostNanos) / 1e9} USD`);

const pieces = [];
let complete = false;
for await (const { event } of mesh.streamGenerate({ intent: { useCase: "default" }, prompt }, options)) {
  if (event.case === "deltas") {
    pieces.push(...event.value.deltas.filter((delta) => delta.piece.case === "text").map((delta) => delta.piece.value));
  }
  complete ||= event.case === "finish"; // a stream without its finish is incomplete, whatever came before
}
console.log(`streamed: ${pieces.join("")} (${pieces.length} pieces, ${complete ? "complete" : "incomplete"})`);

try {
  await mesh.generate({ intent: { model: "no-such-model" }, prompt }, options);
} catch (error) {
  const { code, rawMessage } = ConnectError.from(error);
  console.log(`refused:  ${Code[code]}: ${rawMessage}`);
}
