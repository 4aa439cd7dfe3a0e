// Clients of the recipes, each its own library's: node client.js KIND HTTP-URL [ARGS].  Prints what it saw as JSON.
"use strict";
const [kind, url, ...args] = process.argv.slice(2);
const ws = url.replace(/^http/, "ws");

const once = (emitter, event, error) => new Promise((done, fail) => {
  emitter.once(event, (...values) => done(values));
  if (error) emitter.once(error, (e) => fail(e instanceof Error ? e : new Error(String(e))));
});

const kinds = {
  // args: transport
  async socketio() {
    const { io } = require("socket.io-client");
    const socket = io(url, { transports: args[0] === "both" ? ["polling", "websocket"] : [args[0]], forceNew: true,
                             withCredentials: true, reconnection: false });
    const [who] = await new Promise((done, fail) => {
      socket.once("hello", (...v) => done(v));
      socket.once("connect_error", fail);
      socket.once("disconnect", fail);
    });
    const echoes = [];
    for (let i = 0; i < 10; i++) echoes.push(await socket.timeout(10000).emitWithAck("echo", String(i)));
    const transport = socket.io.engine.transport.name;
    socket.close();
    return { who, transport, is_same: echoes.every((e, i) => e === who + ":" + i) };
  },

  // args: rooms; two clients each, which must see one another's words
  async yjs() {
    const Y = require("yjs");
    const { WebsocketProvider } = require("y-websocket");
    const seen = {};
    for (const room of args) {
      const docs = [new Y.Doc(), new Y.Doc()];
      const providers = docs.map((doc) => new WebsocketProvider(ws + "/docs", room, doc,
        { WebSocketPolyfill: require("ws"), disableBc: true }));
      await Promise.all(providers.map((p) => p.synced || once(p, "sync")));
      docs[0].getText("t").insert(0, "from the first");
      while (docs[1].getText("t").toString() === "") await once(docs[1], "update");
      seen[room] = docs[1].getText("t").toString();
      providers.forEach((p) => p.destroy());
    }
    return seen;
  },

  async "graphql-ws"() {
    const { createClient } = require("graphql-ws");
    const client = createClient({ url: ws + "/graphql", webSocketImpl: require("ws"), retryAttempts: 0 });
    const counts = [];
    for await (const r of client.iterate({ query: "subscription { count }" })) counts.push(r.data.count);
    const whos = [];
    for (let i = 0; i < 6; i++)
      whos.push((await (await fetch(url + "/graphql?query=%7Bwho%7D")).json()).data.who);
    await client.dispose();
    return { counts, whos };
  },

  async mqtt() {
    const mqtt = require("mqtt");
    const client = await mqtt.connectAsync(ws + "/mqtt", { protocolVersion: 4, connectTimeout: 10000, reconnectPeriod: 0 });
    const got = once(client, "message", "error");
    await client.subscribeAsync("room/1", { qos: 1 });
    await client.publishAsync("room/1", "hello", { qos: 1 });
    const [topic, payload] = await got;
    await client.endAsync();
    return { topic, payload: payload.toString() };
  },

  // args: transport, "websocket" or "long-polling"; the address to come from, as a proxy in front would say
  async faye() {
    const faye = require("faye");
    const client = new faye.Client(url + "/faye");
    client.setHeader("X-Forwarded-For", args[1]);
    if (args[0] === "long-polling") client.disable("websocket");
    const got = [];
    let heard;
    const all = new Promise((done) => { heard = done; });
    await client.subscribe("/room", (m) => { got.push(m.n); if (got.length === 5) heard(); });
    for (let n = 1; n <= 5; n++) await client.publish("/room", { n });
    await all;
    const id = client._dispatcher.clientId;
    client.disconnect();
    return { id, got };
  },

  // what the browser's library does (peerjs/lib/socket.ts): two peers, an offer from one to the other
  async peerjs() {
    const WebSocket = require("ws");
    const open = async (id) => {
      const socket = new WebSocket(`${ws}/peerjs/peerjs?key=peerjs&id=${id}&token=${id}token&version=1.5.4`);
      const inbox = [];
      let wake = () => {};
      socket.on("message", (data) => { inbox.push(JSON.parse(data)); wake(); });
      socket.next = async () => {
        while (inbox.length === 0) await new Promise((done) => { wake = done; });
        return inbox.shift();
      };
      await once(socket, "open", "error");
      return [socket, (await socket.next()).type];
    };
    const id = await (await fetch(url + "/peerjs/peerjs/id")).text();
    const [a, typeA] = await open(id);
    const [b, typeB] = await open("other");
    a.send(JSON.stringify({ type: "OFFER", dst: "other", payload: { sdp: "x" } }));
    const offer = await b.next();
    a.close();
    b.close();
    return { types: [typeA, typeB], offer: offer.type, src: offer.src === id };
  },

  async trpc() {
    const { createTRPCClient, createWSClient, wsLink, httpBatchLink, splitLink } = require("@trpc/client");
    const client = createWSClient({ url: ws + "/trpc", WebSocket: require("ws"), retryDelayMs: () => 100000 });
    const trpc = createTRPCClient({
      links: [splitLink({ condition: (op) => op.type === "subscription", true: wsLink({ client }),
                          false: httpBatchLink({ url: url + "/trpc" }) })],
    });
    const counts = [];
    await new Promise((onComplete, onError) =>
      trpc.count.subscribe(undefined, { onData: (n) => counts.push(n), onComplete, onError }));
    const whos = [];
    for (let i = 0; i < 6; i++) whos.push(await trpc.who.query());
    await client.close();
    return { counts, whos };
  },
};

kinds[kind]().then((seen) => { console.log(JSON.stringify(seen)); process.exit(0); },
                   (e) => { console.error(e); process.exit(1); });
