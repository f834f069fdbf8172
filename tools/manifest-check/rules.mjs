// Would Slack take this manifest? What may be in one is in manifest.schema.json, made from the types of
// @slack/web-api (dist/types/request/manifest.d.ts). The scopes of a bot are those of its union BotScope.
import fs from 'node:fs';
import Ajv from 'ajv';

const schema = JSON.parse(fs.readFileSync(new URL('manifest.schema.json', import.meta.url), 'utf8'));

// What the comments of the types say, and what it means for the string or array p that they describe.
const words = [
  [/Maximum length is ([\d,]+) characters/, 'string', (p, n) => { p.maxLength = n; }],
  [/[Mm]aximum of ([\d,]+)/, 'array', (p, n) => { p.maxItems = n; }],
];

// limits are those that were found, by path, such as features.slash_commands[].command.
export const limits = new Map();

function addLimits(p, path) {
  for (const [pattern, type, apply] of words) {
    const match = p.type === type && (p.description ?? '').replace(/\s+/g, ' ').match(pattern);
    if (!match) continue;
    const n = Number(match[1].replaceAll(',', ''));
    apply(p, n);
    limits.set(path, n);
  }
  for (const [key, child] of Object.entries(p.properties ?? {})) {
    addLimits(child, path ? `${path}.${key}` : key);
  }
  if (p.items) addLimits(p.items, `${path}[]`);
}
const manifest = schema.definitions.AppManifest;
addLimits(manifest, '');

// What the types say in words of their own (which characters, https). That a command is in lower case and has
// no spaces is what Slack's form for a new command says.
const { features, settings } = manifest.properties;
const slash = features.properties.slash_commands.items.properties;
features.properties.bot_user.properties.display_name.pattern = '^[a-z0-9_.-]+$';
slash.command.pattern = '^/[^\\s\\p{Lu}]+$';
slash.url.pattern = '^https://[^/\\s]';
settings.properties.interactivity.properties.request_url.pattern = '^https://[^/\\s]';

const validate = new Ajv({ strict: false, allErrors: true, verbose: true }).compile(schema);

// say names the scope that is wrong, and not the many that there are.
function say({ instancePath, keyword, message, params, data }) {
  return `${instancePath} ${message} ${JSON.stringify(keyword === 'enum' ? data : params)}`;
}

// faults are what is wrong with a manifest: none if Slack would take it.
export function faults(m) {
  if (!validate(m)) return validate.errors.map(say);
  if (m.features?.slash_commands?.length && !m.oauth_config?.scopes?.bot?.includes('commands')) {
    return ['/features/slash_commands needs the scope commands'];
  }
  return [];
}
