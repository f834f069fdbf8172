// check.mjs CLBWATCH: would Slack take what `clbwatch manifest` prints, in all its forms?
import { spawnSync } from 'node:child_process';
import { parseDocument } from 'yaml';
import { prove } from './controls.mjs';
import { faults } from './rules.mjs';

const url = 'https://1250000000-a1b2c3d4e5.ap-guangzhou.tencentscf.com';
const forms = [
  [],
  ['--url', url],
  ['--url', url, '--command', '/lb'],
  // What YAML could take for something else.
  ['--url', `${url}:443/a:/%20'[]{}&*|>@!-`, '--command', `/#"'\\&<>%:`],
  ['--url', `${url}/`, '--command', '/负载均衡:'],
];

// read returns the manifest of the link, after comparing it with the YAML.
function read(output) {
  const links = output.match(/https:\/\/api\.slack\.com\/apps\?new_app=1&manifest_json=\S+/g) ?? [];
  if (links.length !== 1) throw new Error(`${links.length} links`);
  const decoded = decodeURIComponent(links[0].split('manifest_json=')[1]);
  const query = new URL(links[0]).searchParams;
  if (query.get('manifest_json') !== decoded) throw new Error('the link has a + for a space');
  const manifest = JSON.parse(decoded);
  for (const version of ['1.1', '1.2']) {
    const yaml = parseDocument(output, { version });
    const said = [...yaml.errors, ...yaml.warnings];
    if (said.length) throw new Error(`YAML ${version}: ${said[0].message}`);
    const got = JSON.stringify(yaml.toJS());
    const want = JSON.stringify(manifest); // with the same order of keys
    if (got !== want) throw new Error(`YAML ${version} is not what the link has:\n${got}\n${want}`);
  }
  return manifest;
}

// seen reports whether read notices that the YAML of this output was changed.
function seen(output, [from, to]) {
  const changed = output.replace(from, to);
  try {
    read(changed);
    return false;
  } catch {
    return changed !== output;
  }
}

// judge runs one form, says what it found, and returns the output and the manifest if all is well.
function judge(form) {
  const name = ['clbwatch manifest', ...form].join(' ');
  const { status, stdout, stderr, error } = spawnSync(binary, ['manifest', ...form],
    { env: {}, encoding: 'utf8', timeout: 10_000 });
  try {
    if (error || status !== 0 || stderr) throw new Error(`exit ${status}: ${error ?? stderr}`);
    const manifest = read(stdout);
    const found = faults(manifest);
    if (found.length) throw new Error(found.join('\n     '));
    console.log(`ok   ${name} (${manifest.oauth_config.scopes.bot.join(' ')})`);
    return { output: stdout, manifest };
  } catch (error) {
    fail(`${name}\n     ${error.message}`);
    return null;
  }
}

function fail(what) {
  console.log(`FAIL ${what}`);
  process.exitCode = 1;
}

const [binary] = process.argv.slice(2);
if (!binary) {
  console.error('usage: check CLBWATCH');
  process.exit(2);
}
const whole = forms.map(judge).find(good => good?.manifest.features.slash_commands);
if (whole) {
  const changes = [
    ['name: clbwatch', 'name: clbwatcher'],
    ['  name:', '  nam:'],
    ['_enabled: false', '_enabled: "false"'],
  ];
  const { wrong, tried } = prove(whole.manifest);
  wrong.push(...changes.filter(c => !seen(whole.output, c)).map(([, to]) => `${to} in the YAML is not seen`));
  wrong.forEach(fail);
  if (!wrong.length) console.log(`ok   ${tried + changes.length} mistakes made on purpose, each refused`);
} else {
  fail('the rules could not be proved: no good manifest has a slash command');
}
