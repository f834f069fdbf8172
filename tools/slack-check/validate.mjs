// validate.mjs [--limits] MESSAGE.json...: would Slack take these messages? --limits lists the limits it knows.
//
// What a message may look like is in slack.schema.json, made from the types of @slack/types. How long things may be
// those types say only in their comments, in words, which are read here. The rest Slack does not publish in any form
// for machines; it is in the code below.
import fs from 'node:fs';
import Ajv from 'ajv';

const schema = JSON.parse(fs.readFileSync(new URL('slack.schema.json', import.meta.url), 'utf8'));

// What the comments of @slack/types say, and what it means for the field p that they describe.
const limits = [
  [/[Mm]aximum length (?:for this field is|is|of the value is) ([\d,]+) characters|Limit ([\d,]+) characters max/, 'string',
    (p, n) => { p.maxLength = n; }],
  [/(?:[Mm]aximum length for the `?text`? in this field is|[Mm]aximum length is|`text` in this field is) ([\d,]+) characters/, 'object',
    (p, n) => {
      const text = { $ref: p.$ref, anyOf: p.anyOf };
      for (const key of Object.keys(p)) delete p[key];
      p.allOf = [JSON.parse(JSON.stringify(text)), { properties: { text: { maxLength: n } } }];
    }],
  [/[Mm]aximum number of items is ([\d,]+)|[Mm]aximum of ([\d,]+) elements|Maximum ([\d,]+) (?:rows|items|blocks)|maximum ([\d,]+) cards/, 'array',
    (p, n) => { p.maxItems = n; }],
  [/max of ([\d,]+) table cells/, 'array',
    (p, n) => { p.items.maxItems = n; }],
  [/Maximum length for the text in each item is ([\d,]+) characters/, 'array',
    (p, n) => { p.items = { allOf: [p.items, { properties: { text: { maxLength: n } } }] }; }],
];

const known = [];
function addLimits(node, path) {
  if (!node || typeof node !== 'object') return;
  for (const [name, p] of Object.entries(node.properties ?? {})) {
    const kind = p.$ref || p.anyOf ? 'object' : p.type;
    const comment = (p.description ?? '').replace(/\s+/g, ' ');
    for (const [words, of, apply] of limits) {
      const match = of === kind && comment.match(words);
      if (!match) continue;
      const n = Number(match.slice(1).find(Boolean).replaceAll(',', ''));
      apply(p, n);
      known.push(`${path}.${name}: ${match[0]}`);
    }
  }
  for (const [key, child] of Object.entries(node)) addLimits(child, key === 'properties' ? path : `${path}/${key}`);
}
for (const [name, definition] of Object.entries(schema.definitions)) addLimits(definition, name);
for (const name of ['PlainTextElement', 'MrkdwnElement']) {
  const { text } = schema.definitions[name].properties;
  text.minLength = 1;
  text.maxLength ??= 3000;
}
schema.definitions.SlackMessage.properties.blocks.maxItems = 50;
schema.definitions.SlackMessage.properties.attachments.maxItems = 20;

// A block is judged by the rules of its own type, so that an error names what is wrong with it.
const types = new Map(schema.definitions.KnownBlock.anyOf.map(({ $ref }) => {
  const name = $ref.split('/').pop();
  return [schema.definitions[name].properties?.type?.const ?? 'image', $ref];
}));
schema.definitions.KnownBlock = {
  type: 'object',
  required: ['type'],
  properties: { type: { enum: [...types.keys()] } },
  allOf: [...types].map(([type, $ref]) => ({ if: { required: ['type'], properties: { type: { const: type } } }, then: { $ref } })),
};
const validate = new Ajv({ strict: false, allErrors: true }).compile({ ...schema, $ref: '#/definitions/SlackMessage' });

// Bytes of blocks and attachments as JSON. Slack documents no such limit, and refuses messages at about 13,200.
const maxBytes = 13000;
const maxTextBytes = 4000;

function size({ blocks, attachments }) {
  return Buffer.byteLength(JSON.stringify({ blocks, attachments }));
}

function blocksOf(message) {
  return [message, ...(message.attachments ?? [])].flatMap(part => part.blocks ?? []);
}

function faults(message) {
  if (!validate(message)) {
    return validate.errors.filter(e => e.keyword !== 'if').map(e => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
  }
  const found = [];
  const blocks = blocksOf(message);
  const ids = blocks.map(b => b.block_id).filter(Boolean);
  if (!message.text) found.push('no text: notifications and screen readers get nothing');
  if (Buffer.byteLength(message.text) > maxTextBytes) found.push(`text over ${maxTextBytes} bytes`);
  if (size(message) > maxBytes) found.push(`blocks and attachments over ${maxBytes} bytes`);
  if (blocks.length > 50) found.push('over 50 blocks in all');
  if (blocks.filter(b => b.type === 'table' || b.type === 'data_table').length > 1) found.push('more than one table');
  if (new Set(ids).size !== ids.length) found.push('a block_id used twice');
  for (const b of blocks) {
    if (b.type === 'alert') found.push('an alert block, which is for modals only');
    if (b.type === 'section' && !b.text && !b.fields) found.push('a section with neither text nor fields');
    const actions = (b.type === 'actions' ? b.elements : []).map(e => e.action_id).filter(Boolean);
    if (new Set(actions).size !== actions.length) found.push('an action_id used twice in a block');
    if (b.type === 'table' && b.rows.flat().some(c => c.type === 'raw_text' && !c.text)) found.push('an empty table cell');
  }
  return found;
}

const files = process.argv.slice(2);
if (files[0] === '--limits') {
  console.log(known.join('\n'));
  process.exit();
}
if (files.length === 0) {
  console.error('usage: check MESSAGE.json...');
  process.exit(2);
}
for (const file of files) {
  const message = JSON.parse(fs.readFileSync(file, 'utf8'));
  const found = faults(message);
  console.log(`${found.length ? 'FAIL' : 'ok  '} ${file} (${blocksOf(message).length} blocks, ${size(message)} bytes)`);
  for (const fault of found.slice(0, 6)) console.log(`     ${fault}`);
  if (found.length) process.exitCode = 1;
}
