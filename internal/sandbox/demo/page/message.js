'use strict';
// What Slack shows of a message. Everything here may be hostile: it becomes text, never markup.

const emojis = {
  red_circle: '🔴', large_orange_circle: '🟠', large_yellow_circle: '🟡', large_green_circle: '🟢',
  large_blue_circle: '🔵', warning: '⚠️', information_source: 'ℹ️', eyes: '👀', wave: '👋',
  bar_chart: '📊', clipboard: '📋',
};

function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === 'onclick') e.addEventListener('click', value);
    else if (value !== false) e.setAttribute(name, value === true ? '' : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

let names = new Map(); // of users, by ID
let me = ''; // ID of who looks at the page

const person = (id) => '@' + (names.get(id) ?? id);

// mention is a name as Slack shows it: yellow if it means who looks at it, too.
const mention = (text, mine) => el('span', { class: mine ? 'mention mine' : 'mention' }, text);

const minute = (t) => new Date(t).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

const second = (t) => new Date(t).toLocaleTimeString();

// dayOf is how Slack names the day of a time, by the stage's clock.
function dayOf(t) {
  const midnight = (x) => new Date(x).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(now.now) - midnight(t)) / 864e5);
  return ['today', 'yesterday'][days] ?? new Date(t).toLocaleDateString();
}

const when = (unix, format) => (format === '{time}' ? '' : dayOf(unix * 1000) + ' ') + minute(unix * 1000);

function emoji(name) {
  if (!emojis[name]) return `:${name}:`;
  return el('span', { class: 'emoji', role: 'img', 'aria-label': name.replaceAll('_', ' ') }, emojis[name]);
}

function styled(node, style) {
  for (const [name, tag] of [['code', 'code'], ['strike', 's'], ['italic', 'em'], ['bold', 'strong']]) {
    if (style?.[name]) node = el(tag, {}, node);
  }
  return node;
}

function inline(e) {
  switch (e.type) {
    case 'link': {
      const href = /^https:/.test(e.url) ? e.url : '#';
      return styled(el('a', { href, rel: 'noreferrer', target: '_blank' }, e.text ?? e.url), e.style);
    }
    case 'emoji': return emoji(e.name);
    case 'date': return el('time', { title: e.fallback ?? '' }, when(e.timestamp, e.format));
    case 'user': return mention(person(e.user_id), e.user_id === me);
    case 'usergroup': return mention('@' + e.usergroup_id, false);
    case 'broadcast': return mention('@' + e.range, true);
    default: return styled(lines(e.text ?? ''), e.style);
  }
}

// lines keeps line breaks.
function lines(text) {
  const span = document.createElement('span');
  text.split('\n').forEach((l, i) => span.append(...(i ? [el('br')] : []), l));
  return span;
}

const unescaped = (text) => text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

const marks = new RegExp(['<!date\\^\\d+\\^[^|>]*\\|[^>]*>', '<@\\w+>', '<!(?:here|channel|everyone)>',
  '<!subteam\\^\\w+>', '`[^`\\n]+`', '\\*[^*\\n]+\\*', ':[a-z_]+:'].join('|'), 'g');

// mrkdwn shows what our messages use of it: dates, people, emojis, `code` and *bold*.
function mrkdwn(text) {
  const span = document.createElement('span');
  let from = 0;
  for (const found of text.matchAll(marks)) {
    span.append(unescaped(text.slice(from, found.index)), marked(found[0]));
    from = found.index + found[0].length;
  }
  span.append(unescaped(text.slice(from)));
  return span;
}

function marked(part) {
  const date = part.match(/^<!date\^(\d+)\^([^|>]*)\|/);
  if (date) return when(Number(date[1]), date[2]);
  if (part.startsWith('<@')) return mention(person(part.slice(2, -1)), part.slice(2, -1) === me);
  if (part.startsWith('<!subteam^')) return mention('@' + part.slice(10, -1), false);
  if (part.startsWith('<!')) return mention('@' + part.slice(2, -1), true);
  if (part[0] === ':') return emoji(part.slice(1, -1));
  return el(part[0] === '`' ? 'code' : 'strong', {}, unescaped(part.slice(1, -1)));
}

// plain is the first line of a message's text, without its marks.
const plain = (text) => mrkdwn((text ?? '').split('\n')[0]).textContent;

function rich(e) {
  switch (e.type) {
    case 'rich_text_preformatted': return el('pre', {}, ...e.elements.map((x) => x.text ?? ''));
    case 'rich_text_list': return el('ul', {}, ...e.elements.map((x) => el('li', {}, rich(x))));
    default: return el('p', {}, ...e.elements.map(inline));
  }
}

function block(b, p, live) {
  const messageButton = (x) => el('button', {
    'aria-label': x.accessibility_label ?? x.text.text, disabled: !live, onclick: () => press(p, x.action_id),
  }, x.text.text);
  switch (b.type) {
    case 'rich_text': return el('div', {}, ...b.elements.map(rich));
    case 'section': return el('p', {}, b.text ? mrkdwn(b.text.text) : '');
    case 'context': return el('p', { class: 'context' }, ...b.elements.map((x) => mrkdwn(x.text ?? '')));
    case 'header': return el('h3', {}, b.text.text);
    case 'divider': return el('hr');
    case 'actions': return el('div', { class: 'buttons group' }, ...b.elements.map(messageButton));
    default: return el('p', {}, `(${b.type})`);
  }
}

// Slack folds what is long in an attachment, and nothing outside of one. Where, it does not say; here, by
// lines of so many characters.
const longAttachment = 16;
const shortAttachment = 10;
const lineLength = 70;

const textOf = (x) => x.text?.text ?? x.text ?? (x.elements ?? []).map(textOf).join('');

const rows = (l) => Math.max(1, Math.ceil(l.length / lineLength));

const linesOf = (x) => textOf(x).split('\n').reduce((n, l) => n + rows(l), 0);

// parts are the elements that blocks are made of, each as a block of its own.
const parts = (blocks) => blocks.flatMap((b) => (b.type === 'rich_text' ?
  b.elements.map((e) => ({ ...b, elements: [e] })) : [b]));

// folded are the first lines of an attachment's blocks, or null if it is not long.
function folded(blocks) {
  const all = parts(blocks);
  if (all.reduce((n, b) => n + linesOf(b), 0) <= longAttachment) return null;
  const kept = [];
  let left = shortAttachment;
  for (const b of all) {
    const pre = b.elements?.[0];
    if (linesOf(b) > left && pre?.type === 'rich_text_preformatted' && left > 1) {
      const text = textOf(pre).split('\n').slice(0, left).join('\n');
      kept.push({ ...b, elements: [{ ...pre, elements: [{ type: 'text', text }] }] });
    }
    if (linesOf(b) > left) break;
    kept.push(b);
    left -= linesOf(b);
  }
  return kept.length ? kept : all.slice(0, 1);
}

const unfolded = new Set(); // threads, attachments and cards that are shown whole, by a name of each

// toggle is a button that folds and unfolds what has a name, and says so.
function toggle(name, text, label) {
  const open = unfolded.has(name);
  return el('button', {
    class: 'fold', 'aria-label': label, 'aria-expanded': String(open), onclick: () => {
      if (open) unfolded.delete(name);
      else unfolded.add(name);
      keepFocus(now);
    },
  }, ...text);
}

function attachment(a, i, p, live) {
  const name = `${p.ts} attachment ${i}`;
  const short = folded(a.blocks ?? []);
  const blocks = short && !unfolded.has(name) ? short : a.blocks ?? [];
  const box = el('div', { class: 'attachment', 'data-fold': name }, ...blocks.map((b) => block(b, p, live)));
  if (/^#[0-9a-f]{6}$/i.test(a.color ?? '')) box.style.borderColor = a.color;
  if (short) {
    const word = unfolded.has(name) ? 'Show less' : 'Show more';
    box.append(toggle(name, [word], `${word} of the message of ${second(p.at)}, part ${i + 1}`));
  }
  return box;
}

const failed = new Map(); // why the last press of a message's button failed, by the message's ts

// message is all of a message but its thread.
function message(p, live, inChannel) {
  const m = p.raw;
  const body = (m.blocks ?? []).map((b) => block(b, p, live));
  if (!body.length) body.push(el('p', {}, p.user ? lines(m.text ?? '') : mrkdwn(m.text ?? '')));
  body.push(...(m.attachments ?? []).map((a, i) => attachment(a, i, p, live)));
  const wrong = failed.get(p.ts);
  if (wrong) body.push(el('p', { class: 'wrong', role: 'alert' }, '⚠️ ' + wrong));
  const about = p.about ? ['replied to a thread: ', el('q', {}, mrkdwn(p.about))] : ['replied to a thread'];
  return [
    el('div', { class: 'who' }, (p.user ? person(p.user) : 'clbwatch') + ' ',
      el('span', { class: 'when' }, `#${p.channel} · `, el('time', { title: second(p.at) }, minute(p.at)),
        p.edited ? ' (edited)' : '')),
    inChannel && p.thread ? el('p', { class: 'context' }, ...about) : null,
    ...body,
    !inChannel && p.broadcast ? el('p', { class: 'context' }, 'also sent to the channel') : null,
  ];
}

const fewReplies = 8; // the newest of an unfolded thread, that are shown at first

// thread is what is below the first message of a thread: folded, until somebody unfolds it.
function thread(p, replies, live) {
  if (!p.replies) return null;
  const count = p.replies === 1 ? '1 reply' : `${p.replies} replies`;
  const last = `last reply ${dayOf(p.lastReply)} at ${minute(p.lastReply)}`;
  const name = `${p.ts} thread`;
  const box = el('div', { class: 'thread', 'data-fold': name },
    toggle(name, [el('strong', {}, count), ' ', el('span', { class: 'quiet' }, last)],
      `${count}, ${last}, to ${plain(p.raw.text)}`));
  if (!unfolded.has(name)) return box;
  const all = unfolded.has(name + ' all') ? replies : replies.slice(-fewReplies);
  const list = el('ol', { 'aria-label': 'Replies, oldest first' }, ...all.map((r) =>
    el('li', { class: 'post', 'data-ts': r.ts }, ...message(r, live, false))));
  const more = replies.length - all.length;
  const gone = p.replies - replies.length;
  if (more) {
    const text = `Show ${more} more ${more === 1 ? 'reply' : 'replies'}`;
    box.append(toggle(name + ' all', [text], `${text} to ${plain(p.raw.text)}`));
  } else if (gone) {
    box.append(el('p', { class: 'context' }, `earlier replies not shown: ${gone}`));
  }
  box.append(list);
  return box;
}

// post is a message of the channel, with its thread.
function post(p, replies, live) {
  const label = `Dismiss what clbwatch answered at ${second(p.at)}`;
  return el('li', { class: p.private ? 'post private' : 'post', 'data-ts': p.ts },
    ...message(p, live, true),
    p.private ? el('div', { class: 'only' }, 'only visible to you',
      button('Dismiss', label, live, 'dismiss', { id: p.ts })) : null,
    thread(p, replies, live));
}
