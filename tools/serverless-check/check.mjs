// check.mjs REPOSITORY: would serverless.yml be deployed as it is meant, and do the scripts in deploy/ ask for the same?
import fs from 'node:fs';
import path from 'node:path';
import { cronFault } from './cron.mjs';
import { testScripts } from './scripts.mjs';
import { deploy, load, parse } from './toolkit.mjs';
import { typeFaults } from './types.mjs';

const repository = process.argv[2];
const yaml = fs.readFileSync(path.join(repository, 'serverless.yml'), 'utf8');
const dotenv = `CLB_IDS=lb-byhpduqt=shop, ap-hongkong/lb-1a2b3c4d
CLB_REGION=ap-guangzhou
CLB_DISCOVER=ap-guangzhou/prod-*, ap-shanghai/tag:env=prod
CLB_HEALTH=on
SHARD=1/2
SLACK_BOT_TOKEN=xoxb-0-secret
SLACK_CHANNEL=C024BE91L
SLACK_ROUTES=prod-db-*=C024BE91M, shop=C024BE91N
SLACK_WEBHOOK_URL=https://hooks.slack.com/services/T0/B0/secret
SLACK_MENTION=S024BE7LH
SLACK_MENTION_AT=80
STABLE_AFTER=5m
TRANSIENT_FOR=2m
SILENCES=prod-*@Mon-Fri 20:00-08:00 Asia/Shanghai; test-*@Sat,Sun 00:00-24:00 UTC all
HEARTBEAT_URL=https://hc-ping.com/secret
RUNBOOK_URL=https://wiki.example.com/clb/{label}
CONSOLE_URL=https://console.tencentcloud.com
TZ=Asia/Shanghai
STATE_URL="cos://ops-1250000000/clbwatch?region=ap-guangzhou&endpoint=https://ops-1250000000.cos-internal.ap-guangzhou.tencentcos.cn"
CLB_API=v3
CLB_RATE=10
CLB_BLIND_AFTER=5
LOG_LEVEL=debug
`;
const settings = parse(dotenv);

let passed = 0;
let failed = 0;
async function test(name, run) {
  let found;
  try {
    found = (await run()) ?? [];
  } catch (error) {
    found = [error.stack];
  }
  if (found.length === 0) {
    passed++;
    return;
  }
  failed++;
  console.log(`FAIL ${name}`);
  for (const fault of found) console.log(`     ${fault}`);
}

// differ returns a fault for each name whose value is not the one wanted.
function differ(got, want) {
  return Object.entries(want).filter(([name, value]) => JSON.stringify(got?.[name]) !== JSON.stringify(value))
    .map(([name, value]) => `${name} is ${JSON.stringify(got?.[name])}, want ${JSON.stringify(value)}`);
}

// faults deploys a configuration into the recorder and says what is not as it is meant.
async function faults(config, variables, update) {
  const { inputs } = config;
  const calls = await deploy(config, update);
  const call = action => calls.find(c => c.Action === action);
  const trigger = call('CreateTrigger');
  const configured = update ? call('UpdateFunctionConfiguration') : call('CreateFunction');
  const code = update ? call('UpdateFunctionCode') : call('CreateFunction');
  const found = [
    ...differ({ calls: calls.map(c => c.Action) }, {
      calls: [...(update ? ['UpdateFunctionCode', 'UpdateFunctionConfiguration'] : ['CreateFunction']), 'CreateTrigger'],
    }),
    // What the calls do not show: the types, which only the server checks, and a handler that is left out of an update.
    ...differ(inputs, { handler: 'main', src: './dist', region: 'ap-guangzhou', type: 'event', memorySize: 128, timeout: 50,
      initTimeout: 10 }),
    ...differ(code, { FunctionName: 'clbwatch', Handler: 'main' }),
    ...differ(configured, { MemorySize: 128, Timeout: 50, InitTimeout: 10, Role: 'clbwatch' }),
    ...differ(configured?.PublicNetConfig, { PublicNetStatus: 'ENABLE' }),
    ...differ(trigger, { Type: 'timer', TriggerName: 'every-minute', Qualifier: '$DEFAULT', Enable: 'OPEN' }),
  ];
  if (!update) found.push(...differ(configured, { Type: 'Event', Runtime: 'Go1' }));
  const variablesSent = Object.fromEntries(configured?.Environment?.Variables.map(v => [v.Key, v.Value]) ?? []);
  found.push(...differ(variablesSent, variables));
  for (const name of Object.keys(variablesSent)) if (!(name in variables)) found.push(`${name} is sent, and not set`);

  const cron = cronFault(trigger?.TriggerDesc);
  if (cron) found.push(`TriggerDesc: ${cron}`);
  else if (!/^\d+ /.test(trigger.TriggerDesc)) found.push('TriggerDesc: more often than once a minute');
  if (!['undefined', 'string'].includes(typeof trigger?.CustomArgument)) found.push('CustomArgument is not a text');
  // The string 'false' opens the timer.
  if (inputs.events?.[0].timer.parameters.enable !== true) found.push('enable is not the boolean true');
  return found;
}

await test('a first deployment', () => faults(load(yaml, settings), settings, false));
await test('a later deployment', () => faults(load(yaml, settings), settings, true));

const required = Object.fromEntries(['CLB_IDS', 'SLACK_WEBHOOK_URL', 'STATE_URL'].map(name => [name, settings[name]]));
await test('settings that are not set are not sent', () => faults(load(yaml, required), required, false));
await test('what the comment in serverless.yml says about variables', () => {
  const { inputs } = load('component: scf\nname: x\ninputs: {a: "${env:UNSET}", b: "is ${env:UNSET}", c: "${env:EMPTY}", d: "${env:SET}"}', { EMPTY: '', SET: 'x' });
  return differ({ inputs }, { inputs: { b: 'is undefined', c: '', d: 'x' } });
});

// Each of these is a mistake that somebody could make, and that the deployment would take without a word.
const mistakes = {
  'enable left out': [/\n *enable: true.*/, ''],
  'enable as a text': [/enable: true/, "enable: 'false'"],
  'five cron fields': [/'0 \* \* \* \* \* \*'/, "'*/1 * * * *'"],
  'every five seconds': [/'0 \* \* \* \* \* \*'/, "'*/5 * * * * * *'"],
  'a step without a start': [/'0 \* \* \* \* \* \*'/, "'0 /5 * * * * *'"],
  'cronExpression misspelt': [/cronExpression:/, 'cron:'],
  'an argument that is no text': [/enable: true/, 'enable: true\n          argument: {action: tick}'],
  'no trigger': [/\n {2}events:\n(?: {4}.*\n)+/, '\n'],
  'an unknown runtime': [/runtime: Go1/, 'runtime: Go1.x'],
  'memory that is no step': [/memorySize: 128/, 'memorySize: 100'],
  'the timeout as a text': [/timeout: 50/, "timeout: '50'"],
  'no timeout: 3 seconds': [/\n *timeout: 50.*/, ''],
  'no role': [/\n *role: clbwatch/, ''],
  'a setting left out': [/\n *STATE_URL:.*/, ''],
  'a setting with another value': [/\$\{env:CLB_RATE\}/, '${env:CLB_BLIND_AFTER}'],
  'a setting misspelt': [/\$\{env:LOG_LEVEL\}/, '${env:LOGLEVEL}'],
  'no handler': [/\n *handler: main.*/, ''],
  'sources and .env in the zip': [/src: \.\/dist/, 'src: ./'],
  'no way out': [/publicAccess: true/, 'publicAccess: false'],
  'long runs, to have retryNum': [/publicAccess: true/, 'publicAccess: true\n  namespace: default\n  asyncRunEnable: true\n  retryNum: 0'],
};
for (const [name, [old, wrong]] of Object.entries(mistakes)) {
  await test(`a mistake is found: ${name}`, async () => {
    const broken = yaml.replace(old, wrong);
    if (broken === yaml) return [`${old} is not in serverless.yml`];
    for (const update of [false, true]) {
      if (update && name === 'an unknown runtime') continue; // an update cannot change it
      if ((await faults(load(broken, settings), settings, update)).length === 0) return [`not found (update: ${update})`];
    }
  });
}

const good = ['0 * * * * * *', '0 */5 * * * * *', '0,30 0-20/2 9-17 ? * MON-FRI *', '0 0 9 L 1/3 ? 2026-2030', '0 0 9 15W * 5#3 *'];
const bad = ['', '* * * * *', '0 * * * * *', '60 * * * * * *', '0 * 24 * * * *', '0 * * 0 * * *', '0 * * * 13 * *', '0 * * * * 7 *',
  '0 * * * * * 1969', '0 5- * * * * *', '0 /5 * * * * *', '0 */0 * * * * *', '0 30-10 * * * * *', '0 ? * * * * *', '0  * * * * * *', undefined];
await test('cron expressions', () => [
  ...good.filter(cronFault).map(c => `refused: ${c}`), ...bad.filter(c => !cronFault(c)).map(c => `taken: ${c}`),
]);

const deployed = [...await deploy(load(yaml, settings), false), ...await deploy(load(yaml, settings), true)];
const scripted = await testScripts(repository, dotenv, deployed, test, differ);
await test('every request has the form of the API', () => [typeFaults([...deployed, ...scripted])].filter(Boolean));
await test('a mistake is found: a request of another form', () => {
  const wrong = [{ Timeout: '50' }, { RetryNum: 0 }, { MemorySise: 128 }].map(m => ({ ...deployed[0], ...m }));
  wrong.push({ service: 'scf', Action: 'PutReservedConcurrencyConfig', FunctionName: 'x' }, { service: 'cam', Action: 'CreateRole', RoleName: 'x' });
  return wrong.filter(call => !typeFaults([call])).map(call => JSON.stringify(call));
});

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
