// render.mjs MESSAGE.json [REPLY.json...]: a Slack message as a web page on standard output, with replies in its thread
// below. CAPTION is a line above it.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import React from 'react';
import { renderToStaticMarkup } from 'react-dom/server';

const require = createRequire(import.meta.url);
const { Message } = require('slack-blocks-to-jsx');
const css = fs.readFileSync(new URL('node_modules/slack-blocks-to-jsx/dist/style.css', import.meta.url), 'utf8');
const logo = 'data:image/svg+xml,' + encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" width="36" height="36"><rect width="36" height="36" rx="6" fill="#1d4ed8"/></svg>');
const data = { users: [], channels: [], user_groups: [{ id: 'S024BE7LH', name: 'oncall' }] };

// The library shows text with verbatim:true raw, while Slack formats it all the same.
const formatted = (blocks = []) => JSON.parse(JSON.stringify(blocks, (key, value) => (key === 'verbatim' ? undefined : value)));

const el = React.createElement;
const bar = a => ({ borderLeft: `4px solid ${a.color ?? '#ddd'}`, borderRadius: 4, margin: '2px 0 8px 52px', paddingLeft: 8 });

// time is the earliest that the message names, in UTC as in its texts: that of the post, whatever was edited since.
const time = json => {
  const times = [...json.matchAll(/date\^(\d+)|"timestamp": ?(\d+)/g)].map(m => m[1] ?? m[2]);
  return new Date(times.length ? 1000 * Math.min(...times) : 0);
};

const show = (file, key) => {
  const json = fs.readFileSync(file, 'utf8');
  const message = JSON.parse(json);
  return el('div', { key, className: key ? 'reply' : '' },
    el(Message, { blocks: formatted(message.blocks), name: 'clbwatch', logo, time: time(json), data, showBlockKitDebug: false }),
    // The library knows no attachments: the bar is drawn here.
    (message.attachments ?? []).map((a, i) =>
      el('div', { key: i, style: bar(a) }, el(Message, { blocks: formatted(a.blocks), name: '', logo, withoutWrapper: true, data }))));
};
const page = el('div', {},
  process.env.CAPTION && el('div', { className: 'caption' }, process.env.CAPTION), process.argv.slice(2).map(show));

console.log(`<!doctype html><meta charset="utf-8"><style>${css}
body { margin: 0; background: #fff; font-family: Lato, "Noto Sans", sans-serif; padding: 12px; box-sizing: border-box }
body * { font-family: Lato, "Noto Sans", sans-serif }
pre, pre *, code { font-family: monospace }
pre, code { white-space: pre-wrap }
.caption { font-size: 15px; color: #555; border-bottom: 1px solid #ddd; margin-bottom: 8px; padding-bottom: 6px }
.reply { margin: 4px 0 0 52px; border-left: 2px solid #ddd; padding-left: 12px }</style>
<body>${renderToStaticMarkup(page)}`);
