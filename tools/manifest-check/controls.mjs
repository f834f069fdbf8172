// The negative controls: copies of a good manifest with one mistake each. Each must be refused for it.
import { faults, limits } from './rules.mjs';

// What Slack states about the fields that clbwatch uses. If the types come to say it in other words, so that
// rules.mjs misses it, the check fails.
const stated = {
  'display_information.name': 35,
  'display_information.description': 140,
  'features.bot_user.display_name': 80,
  'features.slash_commands': 50,
  'features.slash_commands[].command': 32,
  'features.slash_commands[].description': 2000,
  'features.slash_commands[].usage_hint': 1000,
  'oauth_config.scopes.bot': 255,
};

// at returns the object that holds the last step of a path such as a.b[].c, and that step.
function at(m, path) {
  const steps = path.replaceAll('[]', '.0').split('.');
  const last = steps.pop();
  return [steps.reduce((o, step) => o[step], m), last];
}

// keys are the paths of all keys of a manifest, at each level.
function keys(o, path = '') {
  return Object.entries(o).flatMap(([key, value]) => {
    const here = path ? `${path}.${key}` : key;
    const own = Array.isArray(o) ? [] : [here];
    return typeof value === 'object' ? [...own, ...keys(value, here)] : own;
  });
}

function misspelt(path) {
  return [`${path} misspelt`, 'must NOT have additional properties', m => {
    const [holder, key] = at(m, path);
    holder[`${key}s`] = holder[key];
    delete holder[key];
  }];
}

function set(path, value, why) {
  return [`${path} = ${JSON.stringify(value)}`, why, m => {
    const [holder, key] = at(m, path);
    holder[key] = value;
  }];
}

// sized returns a value of this length that is good but for its length.
function sized(old, length) {
  if (Array.isArray(old)) return Array.from({ length }, (_, i) => old[i % old.length]);
  return old.padEnd(length, 'x').slice(0, length);
}

// prove tries all mistakes on copies of a manifest in which every part is used. It returns those that were
// not refused, or only for another reason, and how many were tried.
export function prove(good) {
  const wrong = [];
  const mistakes = keys(good).map(misspelt);
  for (const [path, n] of Object.entries(stated)) {
    const found = limits.get(path);
    if (found !== n) wrong.push(`${path}: expected a limit of ${n}, found ${found}`);
    const [holder, key] = at(good, path);
    const fill = (m, length) => { at(m, path)[0][key] = sized(holder[key], length); };
    mistakes.push([`${path} of ${n + 1}`, `must NOT have more than ${n} `, m => fill(m, n + 1)]);
    const full = structuredClone(good);
    fill(full, n);
    if (faults(full).length) wrong.push(`${path} of ${n} is refused: ${faults(full)[0]}`);
  }
  mistakes.push(
    set('oauth_config.scopes.bot.0', 'chat:wirte', 'allowed values "chat:wirte"'),
    set('oauth_config.scopes.bot.0', 'search:read', 'allowed values "search:read"'), // a user's
    set('oauth_config.scopes.bot', ['chat:write'], 'needs the scope commands'),
    set('features.bot_user.display_name', 'CLB watch', 'must match pattern'),
    set('features.slash_commands[].command', 'clb', 'must match pattern'),
    set('features.slash_commands[].command', '/Clb', 'must match pattern'),
    set('features.slash_commands[].command', '/c lb', 'must match pattern'),
    set('features.slash_commands[].url', 'http://clb.example', 'must match pattern'),
    set('settings.interactivity.request_url', '/slack', 'must match pattern'),
    set('settings.socket_mode_enabled', 'false', 'must be boolean'),
  );
  for (const [name, why, make] of mistakes) {
    const bad = structuredClone(good);
    make(bad);
    const found = faults(bad);
    if (found.some(f => f.includes(why))) continue;
    wrong.push(`${name} is not refused: ${found.join('; ') || 'no fault'}`);
  }
  return { wrong, tried: mistakes.length };
}
