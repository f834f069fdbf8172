// rival.mjs is what people would write with Tencent's official SDK for Node instead of clbwatch: it reads every load
// balancer, several at once, and compares with what it read before, in memory. It is measured by cmd/bench, which says
// what comes on standard input: the job, then a line for each round.
import http from 'node:http';
import net from 'node:net';
import readline from 'node:readline';
import { clb } from 'tencentcloud-sdk-nodejs/tencentcloud/services/clb/index.js';

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const job = JSON.parse((await lines.next()).value);

// Connections are kept, which is not the SDK's default, and go to this machine. The host is the real one, because the SDK
// takes the service from it.
const agent = new http.Agent({ keepAlive: true, maxSockets: job.workers });
const [address, port] = job.host.split(':');
agent.createConnection = () => net.connect(Number(port), address);
const client = new clb.v20180317.Client({
  credential: { secretId: job.secretId, secretKey: job.secretKey, token: job.token },
  region: job.region,
  profile: { httpProfile: { protocol: 'http://', endpoint: 'clb.tencentcloudapi.com', agent } },
});

// readAll returns the backends of every load balancer, by its id and theirs.
async function readAll() {
  const all = new Map();
  const left = job.ids[Symbol.iterator]();
  const worker = async () => {
    for (const LoadBalancerId of left) {
      const { Targets } = await client.DescribeClassicalLBTargets({ LoadBalancerId });
      all.set(LoadBalancerId, new Map(Targets.map((t) => [t.InstanceId, t])));
    }
  };
  await Promise.all(Array.from({ length: job.workers }, worker));
  return all;
}

// diff counts the backends that came, went or changed.
function diff(before, now) {
  let changes = 0;
  for (const [id, t] of now) {
    const was = before.get(id);
    if (!was || was.RunFlag !== t.RunFlag || was.Weight !== t.Weight || was.InstanceName !== t.InstanceName) changes++;
  }
  for (const id of before.keys()) if (!now.has(id)) changes++;
  return changes;
}

let before;
for await (const _ of lines) {
  const now = await readAll();
  let changes = 0;
  if (before) for (const [lb, pool] of now) changes += diff(before.get(lb), pool);
  before = now;
  console.log(JSON.stringify({ calls: now.size, changes }));
}
