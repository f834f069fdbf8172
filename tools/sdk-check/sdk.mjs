// sdk.mjs call|sign: lets Tencent's SDK on npm work on what comes as JSON on standard input. The answer is JSON too.
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import sdk from 'tencentcloud-sdk-nodejs-common';
import sign from 'tencentcloud-sdk-nodejs-common/tencentcloud/common/sign.js';

// call makes each call in turn, as the SDK's common client does, but for the connection, which goes to a port of this
// machine. The host is the real one: the SDK takes the service from it.
async function call({ port, region, version, calls }) {
  const agent = new http.Agent();
  agent.createConnection = () => net.connect(port, '127.0.0.1');
  const answers = [];
  for (const { secretId, secretKey, token, action, params } of calls) {
    const client = new sdk.CommonClient('clb.tencentcloudapi.com', version, {
      credential: { secretId, secretKey, token: token || null },
      region,
      profile: { httpProfile: { protocol: 'http://', agent } },
    });
    try {
      answers.push({ response: await client.request(action, params) });
    } catch (error) {
      answers.push({ code: error.code ?? '', message: error.message });
    }
  }
  return answers;
}

// hosts makes the SDK sign a host with its port, as it is sent. It would leave out the port, which the real API never has.
function hosts() {
  const url = createRequire(import.meta.url)('node:url');
  url.URL = class extends URL {
    get hostname() {
      return this.host;
    }
  };
}

// signed is the header Authorization that the SDK would send with each request.
function signed(requests) {
  hosts();
  return requests.map(({ method, host, contentType, body, timestamp, service, secretId, secretKey }) =>
    sign.default.sign3({
      method,
      url: `http://${host}/`,
      payload: Buffer.from(body, 'base64'),
      timestamp,
      service,
      secretId,
      secretKey,
      headers: { 'Content-Type': contentType },
    }),
  );
}

const work = { call, sign: signed }[process.argv[2]];
console.log(JSON.stringify(await work(JSON.parse(await text(process.stdin)))));
