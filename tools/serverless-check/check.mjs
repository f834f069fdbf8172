// check.mjs REPOSITORY: would both serverless.yml be deployed as they are meant?
import fs from 'node:fs';
import path from 'node:path';
import { cronFault } from './cron.mjs';
import { deploy, load, parse } from './toolkit.mjs';
import { typeFaults } from './types.mjs';

const repository = process.argv[2];
const read = name => fs.readFileSync(path.join(repository, name), 'utf8');
const yaml = read('serverless.yml');
const slackYaml = read('deploy/slack/serverless.yml');
const dotenv = `CLB_IDS=lb-byhpduqt=shop, ap-hongkong/lb-1a2b3c4d
CLB_REGION=ap-guangzhou
CLB_DISCOVER=ap-guangzhou/prod-*, ap-shanghai/tag:env=prod
CLB_HEALTH=on
SHARD=1/2
SLACK_BOT_TOKEN=xoxb-0-secret
SLACK_CHANNEL=C024BE91L
SLACK_ROUTES=prod-db-*=C024BE91M, shop=C024BE91N
SLACK_WEBHOOK_URL=https://hooks.slack.com/services/T0/B0/secret
SLACK_SIGNING_SECRET=0123456789abcdef0123456789abcdef
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
const pick = (...names) => Object.fromEntries(names.map(name => [name, settings[name]]));
// What clbwatch-slack gets: no bot token, no webhook, no heartbeat.
const slackSettings = pick('SLACK_SIGNING_SECRET', 'SLACK_CHANNEL', 'SLACK_ROUTES', 'STATE_URL', 'CLB_IDS', 'CLB_REGION', 'CLB_DISCOVER',
  'STABLE_AFTER', 'SILENCES', 'SLACK_MENTION_AT', 'CONSOLE_URL', 'RUNBOOK_URL', 'TZ', 'LOG_LEVEL');

// commandsIn are the calls that a page asks its reader to make with tccli, each on a line of its own.
function commandsIn(page) {
  return [...page.replace(/\\\n */g, '').matchAll(/^ *tccli (\w+) (\w+) (.*?)(?: +#.*)?$/gm)].map(([, service, Action, options]) => ({
    service, Action, ...Object.fromEntries([...options.matchAll(/--(\w+) ('[^']*'|\S+)/g)].filter(([, name]) => name !== 'region')
      .map(([, name, value]) => [name, /^\d+$/.test(value) ? Number(value) : value.replace(/^'|'$/g, '')])),
  }));
}

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

// configurationFaults says what differs in the function itself, and which variables do.
function configurationFaults(config, calls, variables, update, want) {
  const call = action => calls.find(c => c.Action === action);
  const configured = update ? call('UpdateFunctionConfiguration') : call('CreateFunction');
  const code = update ? call('UpdateFunctionCode') : call('CreateFunction');
  const found = [
    // What the calls do not show: the types, which only the server checks, and a handler that is left out of an update.
    ...differ(config.inputs, { name: want.name, handler: 'main', src: want.src, region: 'ap-guangzhou', type: 'event',
      memorySize: 128, timeout: want.timeout, initTimeout: 10 }),
    ...differ(code, { FunctionName: want.name, Handler: 'main' }),
    ...differ(configured, { MemorySize: 128, Timeout: want.timeout, InitTimeout: 10, Role: want.name }),
    ...differ(configured?.PublicNetConfig, { PublicNetStatus: 'ENABLE' }),
  ];
  if (!update) found.push(...differ(configured, { Type: 'Event', Runtime: 'Go1' }));
  const variablesSent = Object.fromEntries(configured?.Environment?.Variables.map(v => [v.Key, v.Value]) ?? []);
  found.push(...differ(variablesSent, variables));
  for (const name of Object.keys(variablesSent)) if (!(name in variables)) found.push(`${name} is sent, and not wanted`);
  return found;
}

const functionCalls = update => (update ? ['UpdateFunctionCode', 'UpdateFunctionConfiguration'] : ['CreateFunction']);

// faults deploys a configuration of clbwatch into the recorder and says what is not as it is meant.
async function faults(config, variables, update) {
  const { inputs } = config;
  const calls = await deploy(config, update);
  const trigger = calls.find(c => c.Action === 'CreateTrigger');
  const found = [
    ...differ({ calls: calls.map(c => c.Action) }, { calls: [...functionCalls(update), 'CreateTrigger'] }),
    ...configurationFaults(config, calls, variables, update, { name: 'clbwatch', src: './dist', timeout: 50 }),
    ...differ(trigger, { Type: 'timer', TriggerName: 'every-minute', Qualifier: '$DEFAULT', Enable: 'OPEN' }),
  ];
  const cron = cronFault(trigger?.TriggerDesc);
  if (cron) found.push(`TriggerDesc: ${cron}`);
  else if (!/^\d+ /.test(trigger.TriggerDesc)) found.push('TriggerDesc: more often than once a minute');
  if (!['undefined', 'string'].includes(typeof trigger?.CustomArgument)) found.push('CustomArgument is not a text');
  // The string 'false' opens the timer.
  if (inputs.events?.[0].timer?.parameters.enable !== true) found.push('enable is not the boolean true');
  return found;
}

// url is the trigger of clbwatch-slack as it is after a first deployment.
const url = { Type: 'http', TriggerName: 'url-trigger', Qualifier: '$DEFAULT', Namespace: 'default', FunctionName: 'clbwatch-slack', Enable: 1 };

// slackFaults does that for clbwatch-slack, whose URL is there when it is deployed again.
async function slackFaults(config, variables, update) {
  const calls = await deploy(config, update, update ? [url] : []);
  const trigger = calls.find(c => /^(Create|Update)Trigger$/.test(c.Action));
  return [
    // No URL but one, which is never deleted, because it would come back with another address.
    ...differ({ calls: calls.map(c => c.Action) }, { calls: [...functionCalls(update), update ? 'UpdateTrigger' : 'CreateTrigger'] }),
    ...configurationFaults(config, calls, variables, update, { name: 'clbwatch-slack', src: '../../dist', timeout: 5 }),
    ...differ(trigger, { Type: 'http', TriggerName: 'url-trigger', Qualifier: '$DEFAULT', Enable: 'OPEN',
      TriggerDesc: '{"AuthType":"NONE","NetConfig":{"EnableIntranet":false,"EnableExtranet":true}}' }),
    ...differ(config, { app: 'clbwatch', name: 'clbwatch-slack', stage: 'prod' }),
    ...differ(config.inputs.events?.[0].http?.parameters, { name: 'url-trigger', qualifier: '$DEFAULT', enable: true }),
  ];
}

await test('a first deployment', () => faults(load(yaml, settings), settings, false));
await test('a later deployment', () => faults(load(yaml, settings), settings, true));

const required = pick('CLB_IDS', 'SLACK_WEBHOOK_URL', 'STATE_URL');
await test('settings that are not set are not sent', () => faults(load(yaml, required), required, false));

await test('clbwatch-slack, a first deployment', () => slackFaults(load(slackYaml, settings), slackSettings, false));
await test('clbwatch-slack, a later deployment', () => slackFaults(load(slackYaml, settings), slackSettings, true));
await test('clbwatch-slack, before there is a signing secret', () => {
  const { SLACK_SIGNING_SECRET, ...rest } = settings;
  const { SLACK_SIGNING_SECRET: without, ...wanted } = slackSettings;
  return slackFaults(load(slackYaml, rest), wanted, false);
});
await test('clbwatch-slack has the zip of clbwatch', () => differ(
  { src: path.resolve(repository, 'deploy/slack', load(slackYaml, settings).inputs.src) },
  { src: path.resolve(repository, load(yaml, settings).inputs.src) },
));
await test('what docs/operations.md says about closing: a URL stays when serverless.yml does not name it any more', async () => {
  const config = load(slackYaml.replace(/\n {2}events:\n(?: {4}.*\n)+/, '\n'), settings);
  const calls = (await deploy(config, true, [url])).map(c => c.Action);
  return differ({ events: config.inputs.events, calls }, { events: undefined, calls: functionCalls(true) });
});
await test('what the comment in serverless.yml says about variables', () => {
  const { inputs } = load('component: scf\nname: x\ninputs: {a: "${env:UNSET}", b: "is ${env:UNSET}", c: "${env:EMPTY}", d: "${env:SET}"}', { EMPTY: '', SET: 'x' });
  return differ({ inputs }, { inputs: { b: 'is undefined', c: '', d: 'x' } });
});

// Each of these is a mistake that somebody could make, and that the deployment would take without a word.
async function findMistakes(name, text, mistakes, findFaults) {
  for (const [mistake, [old, wrong]] of Object.entries(mistakes)) {
    await test(`a mistake is found: ${name}: ${mistake}`, async () => {
      const broken = text.replace(old, wrong);
      if (broken === text) return [`${old} is not in serverless.yml`];
      for (const update of [false, true]) {
        if (update && mistake === 'an unknown runtime') continue; // an update cannot change it
        if ((await findFaults(load(broken, settings), update)).length === 0) return [`not found (update: ${update})`];
      }
    });
  }
}
await findMistakes('clbwatch', yaml, {
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
  'a URL, which clbwatch must not have': [/\n {2}events:/, '$&\n    - http: {parameters: {qualifier: $$DEFAULT, netConfig: {enableExtranet: true}}}'],
}, (config, update) => faults(config, settings, update));
await findMistakes('clbwatch-slack', slackYaml, {
  'the bot token': [/variables:.*/, '$&\n      SLACK_BOT_TOKEN: ${env:SLACK_BOT_TOKEN}'],
  'the bot token under another name': [/\$\{env:SLACK_CHANNEL\}/, '${env:SLACK_BOT_TOKEN}'],
  'the webhook': [/variables:.*/, '$&\n      SLACK_WEBHOOK_URL: ${env:SLACK_WEBHOOK_URL}'],
  'the heartbeat': [/variables:.*/, '$&\n      HEARTBEAT_URL: ${env:HEARTBEAT_URL}'],
  'the role that reads load balancers': [/role: clbwatch-slack/, 'role: clbwatch'],
  'no role': [/\n *role: clbwatch-slack/, ''],
  'the name of the other function': [/\n {2}name: clbwatch-slack/, '\n  name: clbwatch'],
  'the name of the other instance': [/\nname: clbwatch-slack/, '\nname: clbwatch'],
  'no signing secret': [/\n *SLACK_SIGNING_SECRET:.*/, ''],
  'no state': [/\n *STATE_URL:.*/, ''],
  'another folder': [/src: \.\.\/\.\.\/dist/, 'src: ./dist'],
  'sources and .env in the zip': [/src: \.\.\/\.\.\/dist/, 'src: ../..'],
  'no qualifier': [/\n *qualifier:.*/, ''],
  'a version as the qualifier': [/qualifier: \$DEFAULT/, 'qualifier: $$LATEST'],
  'a URL that nobody reaches': [/\n *enableExtranet:.*/, ''],
  'a URL from within, too': [/enableIntranet: false/, 'enableIntranet: true'],
  'a URL that is closed': [/\n *enable: true/, '\n          enable: false'],
  'a URL that Slack cannot sign for': [/authType: NONE/, 'authType: CAM'],
  'a URL for any web page': [/\n *authType: NONE.*/, "$&\n          corsConfig: {enable: true, origins: '*'}"],
  'no URL': [/\n {2}events:\n(?: {4}.*\n)+/, '\n'],
  'a timer, too': [/\n {2}events:/, "$&\n    - timer: {parameters: {cronExpression: '0 * * * * * *', enable: true}}"],
  'the timeout of a tick': [/timeout: 5 /, 'timeout: 50 '],
  'an unknown runtime': [/runtime: Go1/, 'runtime: Go1.x'],
}, (config, update) => slackFaults(config, slackSettings, update));

const good = ['0 * * * * * *', '0 */5 * * * * *', '0,30 0-20/2 9-17 ? * MON-FRI *', '0 0 9 L 1/3 ? 2026-2030', '0 0 9 15W * 5#3 *'];
const bad = ['', '* * * * *', '0 * * * * *', '60 * * * * * *', '0 * 24 * * * *', '0 * * 0 * * *', '0 * * * 13 * *', '0 * * * * 7 *',
  '0 * * * * * 1969', '0 5- * * * * *', '0 /5 * * * * *', '0 */0 * * * * *', '0 30-10 * * * * *', '0 ? * * * * *', '0  * * * * * *', undefined];
await test('cron expressions', () => [
  ...good.filter(cronFault).map(c => `refused: ${c}`), ...bad.filter(c => !cronFault(c)).map(c => `taken: ${c}`),
]);

const deployed = [...await deploy(load(yaml, settings), false), ...await deploy(load(yaml, settings), true)];
const slackDeployed = [...await deploy(load(slackYaml, settings), false), ...await deploy(load(slackYaml, settings), true, [url])];
const documented = commandsIn(read('docs/operations.md')).filter(c => c.service === 'scf');
await test('every request has the form of the API', () =>
  [typeFaults([...deployed, ...slackDeployed, ...documented])].filter(Boolean));
await test('docs/operations.md closes the URL that there is', () => documented.filter(c => c.Action === 'DeleteTrigger')
  .flatMap(c => differ(c, { FunctionName: url.FunctionName, Type: url.Type, TriggerName: url.TriggerName, Qualifier: url.Qualifier }))
  .concat(documented.some(c => c.Action === 'DeleteTrigger') ? [] : ['no DeleteTrigger there']));
await test('a mistake is found: a request of another form', () => {
  const wrong = [{ Timeout: '50' }, { RetryNum: 0 }, { MemorySise: 128 }].map(m => ({ ...deployed[0], ...m }));
  wrong.push({ service: 'scf', Action: 'PutReservedConcurrencyConfig', FunctionName: 'x' });
  return wrong.filter(call => !typeFaults([call])).map(call => JSON.stringify(call));
});

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
