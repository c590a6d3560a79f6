// A token endpoint and a source over TLS, for clients known by their certificates (RFC 8705). What is
// below /bound takes a token only with the certificate it was given to (section 3).
// Arguments: the private key and the certificate. Prints its port.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const [key, cert] = process.argv.slice(2).map((path) => readFileSync(path));

const server = createServer({ key, cert, requestCert: true, rejectUnauthorized: false }, (asked, answer) => {
  const peer = asked.socket.getPeerCertificate();
  const send = (status, body) => {
    answer.writeHead(status, { "content-type": "application/json" });
    answer.end(JSON.stringify(body));
  };
  asked.resume();
  asked.on("end", () => {
    const bearer = `Bearer ${peer.subject?.CN}`;
    if (asked.url === "/bound" && asked.headers.authorization !== bearer) send(401, { error: "invalid_token" });
    else if (asked.url !== "/token") send(200, [{ id: 1, let_in_by: asked.headers.authorization }]);
    else if (!peer.subject) send(401, { error: "invalid_client" });
    else send(200, { access_token: peer.subject.CN, token_type: "bearer", expires_in: 600 });
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
