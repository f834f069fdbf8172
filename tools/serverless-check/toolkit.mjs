// What the Serverless Cloud Framework would do with a serverless.yml: the file is read by the code of its command line
// (@serverless/components), and turned into API calls by the code of its SCF component (tencent-component-toolkit), whose
// calls are recorded and answered here. What is between the two runs on Tencent's servers: filling in names.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const cli = require('@serverless/components/src/cli/utils');
const dotenv = createRequire(require.resolve('@serverless/components/src/cli/utils'))('dotenv');
const { Scf } = require('tencent-component-toolkit');

// parse reads a .env file as the command line does.
export const parse = env => dotenv.parse(env);

// load reads a serverless.yml, given as text, with these variables in the environment and no others.
export function load(yaml, variables) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'serverless-check-'));
  const environment = { ...process.env };
  try {
    fs.writeFileSync(path.join(dir, 'serverless.yml'), yaml);
    const parsed = cli.loadInstanceConfigUncached(dir);
    setEnvironment(variables);
    // Through JSON, as on its way to the server: what is undefined is gone.
    return JSON.parse(JSON.stringify(cli.resolveVariables(parsed)));
  } finally {
    setEnvironment(environment);
    fs.rmSync(dir, { recursive: true });
  }
}

function setEnvironment(variables) {
  for (const key of Object.keys(process.env)) delete process.env[key];
  Object.assign(process.env, variables);
}

// deploy returns the calls that change something, of a first deployment or of a later one, at which these triggers exist.
export async function deploy(config, update, triggers = []) {
  const inputs = JSON.parse(JSON.stringify(config.inputs));
  inputs.name ??= `${config.name}-${config.stage}-${config.app}`;
  inputs.code = { bucket: 'bucket', object: 'main.zip' }; // the server uploads src
  for (const event of inputs.events ?? []) {
    for (const [type, trigger] of Object.entries(event)) trigger.name ??= `${type}-${config.name}-${config.stage}`;
  }

  const calls = [];
  let exists = update;
  async function request({ Action, ...body }) {
    if (!/^(Get|List)/.test(Action)) calls.push({ Action, ...body });
    switch (Action) {
      case 'CreateFunction':
        exists = true;
        return {};
      case 'GetFunction':
        if (!exists) throw Object.assign(new Error('no such function'), { code: 'ResourceNotFound.Function' });
        return {
          FunctionName: inputs.name, Namespace: 'default', Status: 'Active', Timeout: 3, MemorySize: 128,
          Qualifier: '$LATEST', Handler: 'main', Runtime: 'Go1', Tags: [],
        };
      case 'ListTriggers':
        return list(triggers, body.Filters);
      case 'CreateTrigger':
        return { TriggerInfo: { ...body } };
      default:
        return {};
    }
  }
  const scf = new Scf({ SecretId: 'x', SecretKey: 'y' }, inputs.region);
  for (const part of [scf, scf.scf, scf.alias, scf.version, scf.concurrency]) if (part) part.request = request;
  function list(all, filters = []) {
    const Triggers = all.filter(t => filters.every(({ Name, Values }) => Values.includes(t[Name]))).map(t => ({ ...t }));
    return { Triggers, TotalCount: Triggers.length };
  }
  const { log } = console;
  console.log = () => {};
  try {
    await scf.deploy(inputs);
  } finally {
    console.log = log;
  }
  return calls;
}
