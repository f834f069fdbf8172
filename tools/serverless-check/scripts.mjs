// The scripts in deploy/, run with a tccli and an scf that call nobody, in a copy of what they read.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const tools = ['bash', 'base64', 'cat', 'dirname', 'env', 'grep', 'jq', 'mktemp', 'rm', 'sed', 'tail', 'tr', 'wc'];
const start = { calls: [], function: null, triggers: {}, roles: {}, policies: {} };
const secret = /hooks\.slack\.com|xoxb-0|0123456789abcdef/;

// A bench is a place to run the scripts in.
class Bench {
  constructor(repository, dotenv) {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'serverless-check-'));
    for (const name of ['deploy', 'serverless.yml', 'tools/need']) fs.cpSync(path.join(repository, name), path.join(this.dir, name), { recursive: true });
    fs.writeFileSync(path.join(this.dir, '.env'), dotenv);
    fs.mkdirSync(path.join(this.dir, 'build'));
    fs.writeFileSync(path.join(this.dir, 'build/clbwatch.zip'), 'PK a zip \0\xff');
    fs.mkdirSync(path.join(this.dir, 'bin'));
    for (const tool of tools) {
      const found = process.env.PATH.split(':').map(dir => path.join(dir, tool)).find(file => fs.existsSync(file));
      fs.symlinkSync(found, path.join(this.dir, 'bin', tool));
    }
    this.command('sleep', ':');
    this.command('tccli', `exec '${process.execPath}' '${fileURLToPath(new URL('tccli.mjs', import.meta.url))}' "$@"`);
    this.command('scf', 'echo "scf $*" >>scf.log');
    this.state = {};
    this.region = 'ap-guangzhou'; // where all calls must go
  }

  command(name, script) {
    fs.writeFileSync(path.join(this.dir, 'bin', name), `#!/usr/bin/env bash\n${script}\n`, { mode: 0o755 });
  }

  without(name) { fs.rmSync(path.join(this.dir, 'bin', name)); }

  get state() { return JSON.parse(fs.readFileSync(path.join(this.dir, 'state.json'), 'utf8')); }

  set state(changes) { fs.writeFileSync(path.join(this.dir, 'state.json'), JSON.stringify({ ...start, ...changes })); }

  run(script, ...args) {
    const { status, stdout, stderr } = spawnSync(path.join(this.dir, 'deploy', script), args, {
      cwd: os.tmpdir(), encoding: 'utf8', env: { PATH: path.join(this.dir, 'bin'), STATE: path.join(this.dir, 'state.json') },
    });
    return { code: status, output: stdout + stderr };
  }

  // edit changes a file of the copy.
  edit(name, old, changed) {
    const file = path.join(this.dir, name);
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(old, changed));
  }

  calls(action) { return this.state.calls.filter(c => c.Action === action); }
}

// testScripts returns every request that was made, for the check of their form.
export async function testScripts(repository, dotenv, deployed, slackDeployed, test, differ) {
  const requests = [];
  const scriptTest = (name, run) => test(name, async () => {
    const bench = new Bench(repository, dotenv);
    try {
      const found = await run(bench);
      const { calls } = bench.state;
      requests.push(...calls.map(({ service, Action, request }) => ({ service, Action, ...request })));
      if (calls.some(c => secret.test(c.arguments.join(' ')))) found.push('a secret is on a command line, for everyone to see');
      if (calls.some(c => c.region !== bench.region)) found.push('a call in another region than the function\'s');
      return found;
    } finally {
      fs.rmSync(bench.dir, { recursive: true });
    }
  });
  // expect compares a run with the code and a text of its output that it should have.
  const expect = ({ code, output }, wantCode, wantOutput) => [
    ...(code === wantCode ? [] : [`exit ${code}, want ${wantCode}: ${output}`]),
    ...(output.includes(wantOutput) ? [] : [`no "${wantOutput}" in the output: ${output}`]),
    ...(secret.test(output) ? ['a secret is in the output'] : []),
  ];
  // same compares a request with the toolkit's, less what only the toolkit sends and how the code gets there.
  const same = (request, action, calls = deployed) => {
    const { Action, Code, DeployMode, L5Enable, InstallDependency, DiskSize, Namespace, ...want } = calls.find(c => c.Action === action);
    return differ(request, want);
  };

  await scriptTest('post-deploy', bench => {
    bench.state = { function: { FunctionName: 'clbwatch', MemorySize: 256 } };
    const found = [...expect(bench.run('post-deploy'), 0, 'RetryNum 0, MsgTTL 120 s'), ...expect(bench.run('post-deploy'), 0, '256 MB')];
    const { async, reserved } = bench.state;
    return [...found, ...differ({ async, reserved }, { async: { RetryConfig: [{ RetryNum: 0 }], MsgTTL: 120 }, reserved: 256 })];
  });
  await scriptTest('post-deploy before there is a function', bench => expect(bench.run('post-deploy'), 1, 'ResourceNotFound.Function'));
  await scriptTest('post-deploy, and the platform keeps something else', bench => {
    bench.state = { function: { MemorySize: 128 }, keeps: { MsgTTL: 21600 } };
    return expect(bench.run('post-deploy'), 1, 'the platform kept RetryNum 0, MsgTTL 21600 s');
  });
  await scriptTest('post-deploy without the quota', bench => {
    bench.state = { function: { MemorySize: 128 }, fail: { PutReservedConcurrencyConfig: 'LimitExceeded.X' } };
    return expect(bench.run('post-deploy'), 1, 'the function works without');
  });
  await scriptTest('post-deploy with an old tccli, whose errors look like success', bench => {
    bench.state = { function: { MemorySize: 128 }, old: true, fail: { UpdateFunctionEventInvokeConfig: 'UnauthorizedOperation' } };
    return expect(bench.run('post-deploy'), 1, 'UnauthorizedOperation');
  });
  await scriptTest('no tccli', bench => {
    bench.without('tccli');
    return ['post-deploy', 'tccli-deploy', 'role'].flatMap(script => expect(bench.run(script), 1, 'pip install tccli'));
  });

  await scriptTest('scf-deploy', bench => {
    bench.state = { function: { MemorySize: 128 } };
    const found = expect(bench.run('scf-deploy'), 0, '128 MB, instances: 1');
    return [...found, ...differ({ scf: fs.readFileSync(path.join(bench.dir, 'scf.log'), 'utf8') }, { scf: 'scf deploy\n' })];
  });
  await scriptTest('scf-deploy without scf', bench => {
    bench.without('scf');
    return expect(bench.run('scf-deploy'), 1, 'npm install --global serverless-cloud-framework');
  });
  await scriptTest('settings without a default have to be there', bench => {
    fs.writeFileSync(path.join(bench.dir, '.env'), 'CLB_IDS=lb-x\nSTATE_URL=\n');
    return [
      ...['scf-deploy', 'tccli-deploy'].flatMap(script => expect(bench.run(script), 1, 'STATE_URL SLACK_BOT_TOKEN or SLACK_WEBHOOK_URL')),
      ...(fs.writeFileSync(path.join(bench.dir, '.env'), 'STATE_URL=cos://b-1/p\nSLACK_WEBHOOK_URL=https://hooks.slack.com/x\n'),
        expect(bench.run('scf-deploy'), 1, 'environment: CLB_IDS or CLB_DISCOVER;')),
      ...(fs.writeFileSync(path.join(bench.dir, '.env'), 'CLB_DISCOVER=ap-guangzhou\nSTATE_URL=cos://b-1/p\nSLACK_BOT_TOKEN=xoxb-1\n'),
        expect(bench.run('scf-deploy'), 1, 'environment: SLACK_CHANNEL;')),
      ...(fs.existsSync(path.join(bench.dir, 'scf.log')) || bench.state.calls.length ? ['something was called'] : []),
    ];
  });

  await scriptTest('tccli-deploy, first and later', bench => {
    const found = expect(bench.run('tccli-deploy'), 0, 'created');
    const first = bench.state;
    found.push(...expect(bench.run('tccli-deploy'), 0, 'updated'));
    const later = bench.state;
    const request = action => later.calls.find(c => c.Action === action)?.request;
    const zip = fs.readFileSync(path.join(bench.dir, 'build/clbwatch.zip')).toString('base64');
    return [
      ...found,
      ...same(request('CreateFunction'), 'CreateFunction'),
      ...same(request('UpdateFunctionConfiguration'), 'UpdateFunctionConfiguration'),
      ...same(request('CreateTrigger'), 'CreateTrigger'),
      ...same(request('UpdateTrigger'), 'CreateTrigger'),
      ...differ(request('CreateFunction')?.Code, { ZipFile: zip }),
      ...differ(request('UpdateFunctionCode'), { ZipFile: zip, Handler: 'main' }),
      ...differ(later, { function: first.function, triggers: first.triggers, reserved: 128 }),
    ];
  });
  await scriptTest('tccli-deploy with defaults, onto a function that is being changed', bench => {
    fs.writeFileSync(path.join(bench.dir, '.env'), "# mine\n export CLB_IDS = 'lb-x lb-y' \nSLACK_WEBHOOK_URL=https://hooks.slack.com/x\nSTATE_URL=cos://b-1/p\nLOG_LEVEL=\n");
    bench.state = { function: { FunctionName: 'clbwatch', MemorySize: 128 }, busy: 3 };
    const found = expect(bench.run('tccli-deploy'), 0, 'updated');
    const variables = bench.state.function.Environment?.Variables.map(v => `${v.Key}=${v.Value}`);
    return [...found, ...differ({ variables }, { variables: ['CLB_IDS=lb-x lb-y', 'SLACK_WEBHOOK_URL=https://hooks.slack.com/x', 'STATE_URL=cos://b-1/p'] })];
  });
  await scriptTest('tccli-deploy leaves other triggers alone', bench => {
    bench.state = { triggers: { nightly: { TriggerName: 'nightly', Type: 'timer' } } };
    const found = expect(bench.run('tccli-deploy'), 0, 'every-minute is open');
    return [...found, ...differ({ triggers: Object.keys(bench.state.triggers) }, { triggers: ['nightly', 'every-minute'] })];
  });
  await scriptTest('tccli-deploy may not even ask', bench => {
    bench.state = { fail: { GetFunction: 'UnauthorizedOperation' } };
    const found = expect(bench.run('tccli-deploy'), 1, 'UnauthorizedOperation');
    return [...found, ...differ({ created: bench.calls('CreateFunction').length }, { created: 0 })];
  });
  await scriptTest('tccli-deploy with a serverless.yml that it cannot read', bench => {
    bench.edit('serverless.yml', '  role: clbwatch', '  role:\n    name: clbwatch');
    const found = expect(bench.run('tccli-deploy'), 1, 'does not have exactly one role');
    return [...found, ...differ({ calls: bench.state.calls.length }, { calls: 0 })];
  });
  await scriptTest('tccli-deploy without a zip, or with one too large', bench => {
    const zip = path.join(bench.dir, 'build/clbwatch.zip');
    fs.truncateSync(zip, 7_000_001);
    const found = expect(bench.run('tccli-deploy'), 1, 'too large');
    fs.rmSync(zip);
    return [...found, ...expect(bench.run('tccli-deploy'), 1, 'make package')];
  });

  await scriptTest('role, first and later', bench => {
    const found = [...expect(bench.run('role'), 0, 'role clbwatch: created'), ...expect(bench.run('role'), 0, 'is there already')];
    const { roles, policies } = bench.state;
    const trust = JSON.parse(roles.clbwatch?.PolicyDocument ?? '{}').statement?.[0];
    const cos = JSON.parse(policies['clbwatch-cos-state'] ?? '{}').statement;
    const reads = JSON.parse(policies['clbwatch-clb-read'] ?? '{"statement": []}').statement.flatMap(s => s.action);
    const bucket = 'qcs::cos:ap-guangzhou:uid/1250000000:ops-1250000000';
    return [
      ...found,
      ...differ(trust, { effect: 'allow', action: 'name/sts:AssumeRole', principal: { service: ['scf.qcloud.com'] } }),
      ...differ(roles.clbwatch, { attached: ['clbwatch-clb-read', 'clbwatch-cos-state'] }),
      ...differ(cos?.[0], { resource: [`${bucket}/clbwatch/*`] }),
      ...differ(cos?.[1], { resource: [`${bucket}/*`] }),
      // Reading only, over API 2.0 and over 3.0.
      ...reads.filter(action => !/^name\/(clb:Describe\w+|cvm:DescribeInstancesStatus)$/.test(action)),
      ...['clb:DescribeLoadBalancers', 'clb:DescribeLoadBalancerBackends', 'clb:DescribeForwardLBBackends', 'clb:DescribeLBHealthStatus',
        'clb:DescribeClassicalLBTargets', 'clb:DescribeTargets', 'clb:DescribeTargetHealth', 'clb:DescribeClassicalLBListeners',
        'clb:DescribeClassicalLBHealthStatus', 'cvm:DescribeInstancesStatus'].map(what => `name/${what}`)
        .filter(action => !reads.includes(action)).map(action => `no ${action}`),
    ];
  });
  await scriptTest('role, for another role than the function\'s name', bench => {
    bench.edit('serverless.yml', 'role: clbwatch', 'role: watcher');
    const found = expect(bench.run('role'), 0, 'attached to the role watcher');
    return [...found, ...differ(bench.state.roles.watcher, { attached: ['watcher-clb-read', 'watcher-cos-state'] })];
  });
  await scriptTest('role --print, for a state that is the whole bucket, elsewhere', bench => {
    fs.writeFileSync(path.join(bench.dir, '.env'), 'STATE_URL=cos://ops-1250000000?region=ap-hongkong\n');
    bench.without('tccli');
    return expect(bench.run('role', '--print'), 0, '"qcs::cos:ap-hongkong:uid/1250000000:ops-1250000000/*"');
  });
  await scriptTest('role without state in COS', bench => {
    fs.writeFileSync(path.join(bench.dir, '.env'), 'STATE_URL=file:///mnt/clbwatch\n');
    return expect(bench.run('role'), 1, 'STATE_URL is not of the form');
  });

  const address = 'https://1250000000-abc123.ap-guangzhou.tencentscf.com';
  const withURL = {
    function: { FunctionName: 'clbwatch-slack', MemorySize: 128 }, triggers: { url: slackDeployed.find(c => c.Action === 'CreateTrigger') },
  };
  await scriptTest('slack: scf-deploy', bench => {
    bench.state = withURL;
    const result = bench.run('scf-deploy', 'slack');
    return [
      ...expect(result, 0, `clbwatch manifest --url ${address}\n`),
      ...(result.output.includes('SLACK_SIGNING_SECRET') ? [`it asks for a secret that there is: ${result.output}`] : []),
      // From its own folder, and the other function is left alone.
      ...differ({ scf: fs.readFileSync(path.join(bench.dir, 'deploy/slack/scf.log'), 'utf8') }, { scf: 'scf deploy\n' }),
      ...(fs.existsSync(path.join(bench.dir, 'scf.log')) ? ['scf ran for the other function, too'] : []),
      ...differ({ reserved: bench.state.reserved, async: bench.state.async }, { reserved: 256, async: undefined }),
      ...bench.state.calls.filter(c => 'FunctionName' in c.request && c.request.FunctionName !== 'clbwatch-slack').map(c => JSON.stringify(c)),
    ];
  });
  await scriptTest('slack: scf-deploy before there is an app, and so no signing secret', bench => {
    bench.edit('.env', /SLACK_SIGNING_SECRET=.*\n/, '');
    bench.state = withURL;
    const result = bench.run('scf-deploy', 'slack');
    return [...expect(result, 0, `clbwatch manifest --url ${address}`), ...expect(result, 0, 'is not set, so the function refuses every call')];
  });
  await scriptTest('slack: scf-deploy without settings', bench => {
    fs.writeFileSync(path.join(bench.dir, '.env'), 'SLACK_SIGNING_SECRET=x\n');
    return [
      ...expect(bench.run('scf-deploy', 'slack'), 1, 'environment: STATE_URL SLACK_CHANNEL;'),
      ...(fs.existsSync(path.join(bench.dir, 'deploy/slack/scf.log')) || bench.state.calls.length ? ['something was called'] : []),
    ];
  });
  await scriptTest('slack: post-deploy, and there is no URL', bench => {
    bench.state = { function: { MemorySize: 128 }, triggers: { nightly: { TriggerName: 'nightly', Type: 'timer', TriggerDesc: '0 0 9 * * * *' } } };
    return expect(bench.run('post-deploy', 'slack'), 1, 'the function clbwatch-slack has no public URL');
  });
  await scriptTest('slack: post-deploy without the quota', bench => {
    bench.state = { function: { MemorySize: 128 }, fail: { PutReservedConcurrencyConfig: 'LimitExceeded.X' } };
    return expect(bench.run('post-deploy', 'slack'), 1, 'strangers who call its URL may take every instance');
  });
  await scriptTest('slack, misspelt', bench => ['scf-deploy', 'post-deploy', 'tccli-deploy', 'role'].flatMap(script => [
    ...expect(bench.run(script, 'slak'), 1, `usage: deploy/${script}`), ...differ({ calls: bench.state.calls.length }, { calls: 0 })]));
  await scriptTest('slack: tccli-deploy, first and later', bench => {
    const found = [...expect(bench.run('tccli-deploy', 'slack'), 0, address), ...expect(bench.run('tccli-deploy', 'slack'), 0, address)];
    const request = action => bench.calls(action)[0]?.request;
    const created = JSON.stringify(request('CreateFunction')).replace(/"Key":"SLACK_SIGNING_SECRET","Value":"\w+"/, '');
    return [
      ...found,
      ...['CreateFunction', 'UpdateFunctionConfiguration', 'CreateTrigger', 'UpdateTrigger']
        .flatMap(action => same(request(action), action, slackDeployed)),
      ...differ({ triggers: Object.keys(bench.state.triggers), reserved: bench.state.reserved }, { triggers: ['url-trigger'], reserved: 256 }),
      ...(secret.test(created) ? ['it gets another secret'] : []),
    ];
  });
  await scriptTest('slack: tccli-deploy nearer to Slack', bench => {
    bench.region = 'ap-singapore';
    bench.edit('deploy/slack/serverless.yml', 'region: ap-guangzhou', 'region: ap-singapore');
    return expect(bench.run('tccli-deploy', 'slack'), 0, 'clbwatch-slack: created in ap-singapore');
  });
  await scriptTest('slack: role, which may use the state and nothing else', bench => {
    const found = expect(bench.run('role', 'slack'), 0, 'role clbwatch-slack: created');
    found.push(...expect(bench.run('role', 'slack'), 0, 'is there already'));
    const { roles, policies } = bench.state;
    const statements = Object.values(policies).flatMap(policy => JSON.parse(policy).statement);
    const bucket = 'qcs::cos:ap-guangzhou:uid/1250000000:ops-1250000000';
    // Objects below the prefix only. To list is a right on the bucket, and shows no more than names.
    const allowed = { [`${bucket}/clbwatch/*`]: /^name\/cos:(Get|Head|Put|Delete)Object$/, [`${bucket}/*`]: /^name\/cos:GetBucket(Versioning)?$/ };
    const tooMuch = ({ effect, action, resource }) => effect !== 'allow' || resource.length !== 1 || action.some(a => !allowed[resource[0]]?.test(a));
    return [
      ...found,
      ...differ({ policies: Object.keys(policies) }, { policies: ['clbwatch-slack-cos-state'] }),
      ...differ(roles['clbwatch-slack'], { attached: ['clbwatch-slack-cos-state'] }),
      ...differ(JSON.parse(roles['clbwatch-slack']?.PolicyDocument ?? '{}').statement?.[0].principal, { service: ['scf.qcloud.com'] }),
      ...statements.filter(tooMuch).map(s => `it may do more than use the state: ${JSON.stringify(s)}`),
    ];
  });
  await scriptTest('slack: role --print', bench => {
    bench.without('tccli');
    const result = bench.run('role', 'slack', '--print');
    return [...expect(result, 0, 'Policy clbwatch-slack-cos-state:'), ...(/clb:|cvm:|clb-read/.test(result.output) ? ['it may read load balancers'] : [])];
  });
  return requests;
}
