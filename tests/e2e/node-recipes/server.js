// The servers of the recipes, each as its own documentation starts it: node server.js KIND LABEL.  Prints "ready PORT".
"use strict";
const http = require("http");
const [kind, label] = process.argv.slice(2);

const ready = (server) => server.listen(0, "127.0.0.1", () => console.log("ready " + server.address().port));

const kinds = {
  socketio() {
    const server = http.createServer();
    const { Server } = require("socket.io");
    const io = new Server(server);
    io.on("connection", (socket) => {
      socket.emit("hello", label);
      socket.on("echo", (text, reply) => reply(label + ":" + text));
    });
    return server;
  },

  yjs() {
    const server = http.createServer((req, res) => res.end("ok"));
    const { WebSocketServer } = require("ws");
    const { setupWSConnection } = require("y-websocket/bin/utils");
    const wss = new WebSocketServer({ server });
    wss.on("connection", (socket, req) => {
      console.log("room " + req.url);
      setupWSConnection(socket, req);
    });
    return server;
  },

  "graphql-ws"() {
    const { buildSchema, graphql } = require("graphql");
    const { useServer } = require("graphql-ws/use/ws");
    const { WebSocketServer } = require("ws");
    const schema = buildSchema("type Query { who: String } type Subscription { count: Int }");
    const roots = {
      query: { who: () => label },
      subscription: { count: async function* () { for (let i = 1; i <= 5; i++) yield { count: i }; } },
    };
    const server = http.createServer(async (req, res) => {
      const query = new URL(req.url, "http://x").searchParams.get("query");
      const result = await graphql({ schema, source: query || "{ __typename }", rootValue: roots.query });
      res.setHeader("content-type", "application/json");
      res.end(JSON.stringify(result));
    });
    useServer({ schema, roots }, new WebSocketServer({ server, path: "/graphql" }));
    return server;
  },

  mqtt() {
    const aedes = require("aedes")();
    const { WebSocketServer, createWebSocketStream } = require("ws");
    const server = http.createServer();
    new WebSocketServer({ server, handleProtocols: (offers) => offers.has("mqtt") && "mqtt" })
      .on("connection", (socket, req) => aedes.handle(createWebSocketStream(socket), req));
    aedes.on("client", () => aedes.publish({ topic: "who", payload: label, retain: true }));
    return server;
  },

  faye() {
    const faye = require("faye");
    const server = http.createServer((req, res) => res.writeHead(404).end());
    const bayeux = new faye.NodeAdapter({ mount: "/faye", timeout: 20 });
    bayeux.attach(server);
    bayeux.on("handshake", (id) => console.log("handshake " + id));
    return server;
  },

  peerjs() {
    const express = require("express");
    const { ExpressPeerServer } = require("peer");
    const app = express();
    const server = http.createServer(app);
    app.use("/peerjs", ExpressPeerServer(server, { path: "/" }));
    return server;
  },

  trpc() {
    const { initTRPC } = require("@trpc/server");
    const { createHTTPHandler } = require("@trpc/server/adapters/standalone");
    const { applyWSSHandler } = require("@trpc/server/adapters/ws");
    const { WebSocketServer } = require("ws");
    const t = initTRPC.create();
    const router = t.router({
      who: t.procedure.query(() => label),
      count: t.procedure.subscription(async function* () { for (let i = 1; i <= 5; i++) yield i; }),
    });
    const server = http.createServer(createHTTPHandler({ router, basePath: "/trpc/" }));
    applyWSSHandler({ wss: new WebSocketServer({ server, path: "/trpc" }), router });
    return server;
  },
};

ready(kinds[kind]());
