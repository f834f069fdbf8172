'use strict';
// The cloud, the runs and the buttons; what Slack shows is in message.js.

const words = {
  1: 'failed', 2: 'running', 3: 'creating', 4: 'shut down', 5: 'returned', 6: 'being returned',
  7: 'restarting', 8: 'starting', 9: 'shutting down',
};

const byID = (id) => document.getElementById(id);

// send does what a person did, and returns what went wrong; '' if nothing did.
async function send(route, what) {
  const headers = { 'Content-Type': 'application/json' };
  try {
    const answer = await fetch(route, { method: 'POST', headers, body: JSON.stringify(what) });
    return answer.ok ? '' : await answer.text();
  } catch {
    return 'the sandbox has ended, or is not to be reached';
  }
}

async function act(action, about) {
  refused(''); // what the function finds wrong comes with a later event
  const why = await send('do', { action, ...about });
  if (why) refused(why);
}

const form = byID('box');
const line = byID('line');
let sending = false;

// typed sends what is in the box. It stays there if it was not taken, as in Slack.
async function typed(event) {
  event.preventDefault();
  line.focus();
  const text = line.value;
  if (!text.trim() || sending) return;
  sending = true;
  say('unsent', '');
  const why = await send('type', { text });
  sending = false;
  say('unsent', why);
  if (!why && line.value === text) line.value = '';
}

// end ends a silence, as if that was typed.
const end = (id) => async () => refused(await send('type', { text: `/clb end ${id}` }));

const pressing = new Set(); // messages of which a button is pressed, by their ts

async function press(p, id) {
  if (pressing.has(p.ts)) return;
  pressing.add(p.ts);
  const why = await send('press', { channel: p.channel, ts: p.ts, button: id });
  pressing.delete(p.ts);
  if (why) failed.set(p.ts, why);
  else failed.delete(p.ts);
  keepFocus(now);
}

// say puts a text somewhere. What is there already is not said again to those who listen.
function say(id, text) {
  const e = byID(id);
  if (e.textContent !== text) e.textContent = text;
}

// refused says why the last order was refused.
const refused = (why) => say('refused', why);

const button = (text, label, live, action, about) =>
  el('button', { 'aria-label': label, disabled: !live, onclick: () => act(action, about) }, text);

const group = (label, ...buttons) =>
  el('div', { class: 'group', role: 'group', 'aria-label': label }, ...buttons);

const fewBackends = 10; // of a load balancer, that are shown at first

function balancer(lb, live) {
  const about = { lb: lb.id };
  const name = `${lb.id} backends`;
  const shown = unfolded.has(name) ? lb.backends : lb.backends.slice(0, fewBackends);
  const more = lb.backends.length - shown.length;
  const word = more ? `Show ${more} more` : 'Show fewer';
  const kind = lb.places.length ? 'application load balancer' : 'classic load balancer';
  return el('article', { class: 'card', id: lb.id, 'data-lb': lb.id, 'aria-label': lb.name },
    el('h3', {}, lb.name, ' ', el('small', {}, lb.id)),
    el('div', { class: 'quiet' }, `${kind} · ${lb.running} of ${lb.backends.length} running`),
    el('div', { class: 'bar' }, bar(lb)),
    ...lb.places.map((p) => el('div', { class: 'place' }, el('code', { class: 'name' }, p.name),
      state(p.passing === p.bound, `${p.passing} of ${p.bound} healthy`))),
    ...lb.silences.map((q) => silence(lb, q, live)),
    lb.incident ? incident(lb, live) : null,
    ...shown.map((b) => backend(lb, b, live)),
    lb.backends.length > fewBackends ? el('div', { 'data-fold': name },
      toggle(name, [word], `${word} backends of ${lb.name}`)) : null,
    el('div', { class: 'row' },
      group(`Backends of ${lb.name}`,
        button('Add', `Add a backend to ${lb.name}`, live, 'add', about),
        button('Stop half', `Stop half of ${lb.name}`, live && lb.running > 0, 'stopHalf', about),
        button(lb.restarting ? `Restarting, ${lb.restarting} to go` : 'Rolling restart',
          `Rolling restart of ${lb.name}`, live && lb.running > 0 && !lb.restarting, 'restart', about)),
      group(`The API of ${lb.name}`, el('button', {
        'aria-pressed': String(lb.fails), 'aria-label': `Fail the API for ${lb.name}`, disabled: !live,
        onclick: () => act('failAPI', about),
      }, lb.fails ? 'The API fails' : 'Fail the API'))));
}

const state = (good, text) => el('span', { class: good ? 'state good' : 'state bad' }, text);

function backend(lb, b, live) {
  const about = { lb: lb.id, id: b.id };
  const runs = b.status === 2;
  const failing = b.failing.length > 0;
  const word = failing ? 'unhealthy' : words[b.status] ?? 'unknown';
  const check = failing ?
    button('Pass check', `Have ${b.name} pass its health check`, live, 'passCheck', about) :
    button('Fail check', `Have ${b.name} fail its health check`, live && runs, 'failCheck', about);
  return el('div', { class: 'backend', 'data-spot': b.id },
    el('span', { class: 'name' }, b.name, ' ', el('span', { class: 'quiet' }, b.ip)),
    state(runs && !failing, `${word} (${b.status})`),
    el('span', { class: 'group' },
      runs ? button('Stop', `Stop ${b.name}`, live, 'stop', about) :
        button('Start', `Start ${b.name}`, live, 'start', about),
      lb.places.length ? check : null,
      button('Remove', `Remove ${b.name} from ${lb.name}`, live, 'remove', about)));
}

// note is a line about a load balancer, with a button at its end, or with null.
const note = (lb, spot, ...children) => el('div', { class: 'note', 'data-spot': `${lb.id} ${spot}` },
  el('span', { class: 'name' }, ...children.slice(0, -1)), ...children.slice(-1).filter((c) => c));

const ending = (label, live, id) =>
  el('button', { 'aria-label': label, disabled: !live, onclick: end(id) }, 'End');

const silence = (lb, q, live) => note(lb, `silence ${q.id}`, el('span', { class: 'silenced' }, 'silenced'),
  ` until ${minute(q.until)}${by(q)} (silence ${q.id})`,
  ending(`End silence ${q.id} of ${lb.name}`, live, q.id));

function incident(lb, live) {
  const { id, ack } = lb.incident;
  if (!ack) return note(lb, 'incident', `incident ${id} is open`, null);
  return note(lb, 'incident', `incident ${id}, acknowledged${by(ack)} since ${minute(ack.made)}`,
    ending(`End the acknowledgement of incident ${id}`, live, ack.id));
}

const by = (q) => (q.by ? ` by ${names.has(q.by) ? person(q.by) : q.by}` : '') + (q.why ? `: ${q.why}` : '');

const serving = (lb) => lb.backends.filter((b) => b.status === 2 && !b.failing.length).length;

function bar(lb) {
  const b = el('div', {});
  b.style.width = lb.backends.length ? `${100 * serving(lb) / lb.backends.length}%` : '0';
  return b;
}

const jump = (lb) => el('a', {
  href: '#' + lb.id, class: serving(lb) === lb.backends.length ? 'good' : 'bad',
}, `${lb.name} ${serving(lb)}/${lb.backends.length}`);

const run = (r) => el('li', { class: r.wrong ? 'wrong' : '' },
  `${second(r.at)}  ${r.what}  ${r.ms} ms  ${r.answer}`);

const drawn = new WeakMap(); // what elements show, as JSON

// redraw has a list show all items. What is as it was stays, so that nobody's press misses a button.
function redraw(list, items, draw) {
  const old = new Map([...list.children].map((e) => [drawn.get(e), e]));
  const all = items.map((item) => {
    const doc = JSON.stringify(item);
    const e = old.get(doc) ?? draw(...item);
    old.delete(doc);
    drawn.set(e, doc);
    return e;
  });
  [...list.children].filter((e) => !all.includes(e)).forEach((e) => e.remove());
  all.forEach((e, i) => { if (list.children[i] !== e) list.insertBefore(e, list.children[i] ?? null); });
}

let now; // what is shown

function show(s) {
  const before = now;
  now = s;
  names = new Map(Object.entries(s.people));
  me = s.me;
  say('status', s.live ? 'live: press a button, or type /clb help, and see what Slack is told' :
    'the story plays in the terminal; the buttons work when it is told');
  hear(before, s);
  forget(s);
  const common = [s.live, s.people, dayOf(s.now), new Date(s.now).toDateString()];
  const opened = (id) => [...unfolded].filter((name) => name.startsWith(id + ' '));
  redraw(byID('cloud'), s.balancers.map((lb) => [lb, ...common, opened(lb.id)]), balancer);
  redraw(byID('jumps'), s.balancers.map((lb) => [lb]), jump);
  const roots = new Set(s.posts.filter((p) => !p.thread).map((p) => p.ts));
  const channel = s.posts.filter((p) => !p.thread || p.broadcast || !roots.has(p.thread)).reverse();
  redraw(byID('channel'), channel.map((p) => {
    const replies = p.thread ? [] : s.posts.filter((r) => r.thread === p.ts);
    const all = [p, ...replies];
    return [p, replies, ...common, all.map((x) => failed.get(x.ts)), all.map((x) => opened(x.ts))];
  }), post);
  redraw(byID('runs'), s.runs.map((r) => [r]).reverse(), run);
  showOlder(s, channel.length);
  showControls(s);
}

function showControls(s) {
  byID('clock').textContent = `it is ${minute(s.now)}`;
  byID('clock').dateTime = s.now;
  refused(s.refused);
  byID('slack').setAttribute('aria-pressed', String(s.slackFails));
  byID('slack').textContent = s.slackFails ? 'Slack fails' : 'Fail Slack';
  for (const id of ['slack', 'report', 'line', 'send']) byID(id).disabled = !s.live;
  byID('later').disabled = !s.live || s.minutes > 0;
  byID('later').textContent = s.minutes > 0 ? `${s.minutes} minutes to go` : 'Ten minutes later';
}

// forget forgets what was unfolded, or failed, of what is not shown any more.
function forget(s) {
  const shown = new Set([...s.posts.map((p) => p.ts), ...s.balancers.map((lb) => lb.id)]);
  for (const name of unfolded) if (!shown.has(name.split(' ')[0])) unfolded.delete(name);
  for (const ts of failed.keys()) if (!shown.has(ts)) failed.delete(ts);
}

let unread = 0;
let looked = true; // the channel is seen

// hear says to those who listen what is new in the channel, and counts it for those who do not see it.
function hear(before, s) {
  const last = before?.posts.at(-1)?.ts ?? '';
  const fresh = before ? s.posts.filter((p) => p.ts > last && p.user !== s.me) : [];
  const newest = fresh.at(-1);
  if (newest) {
    const many = fresh.length === 1 ? 'New message' : `${fresh.length} new messages`;
    say('heard', `${many} in #${newest.channel}: ${plain(newest.raw.text)}`);
  }
  unread = looked ? 0 : unread + fresh.length;
  say('unread', `${unread} new`);
  byID('unread').hidden = !unread;
}

new IntersectionObserver(([e]) => {
  looked = e.isIntersecting;
  if (looked && now) hear(now, now);
}).observe(byID('channel-part'));

// keepFocus shows without taking the focus off the button that was pressed, or off the one in its place. If a
// message has no button any more, that is the box.
function keepFocus(s) {
  const was = document.activeElement;
  const label = was?.getAttribute('aria-label');
  const places = ['fold', 'spot', 'ts', 'lb'].map((name) => {
    const value = was?.closest(`[data-${name}]`)?.dataset[name] ?? '';
    return `[data-${name}="${CSS.escape(value)}"] button`;
  });
  const inChannel = was?.closest('#channel');
  show(s);
  if (!label || document.activeElement === was) return;
  const same = [...document.querySelectorAll('button')].find((b) => b.getAttribute('aria-label') === label);
  const near = places.map((place) => document.querySelector(place)).find((b) => b);
  (same ?? near ?? (inChannel ? line : null))?.focus();
}

const few = matchMedia('(max-width: 800px)').matches ? 6 : 12; // messages of the channel
let wanted = few;
let events;

// listen asks for the state, with as many messages as are wanted, whenever it changes.
function listen() {
  events?.close();
  events = new EventSource(`events?messages=${wanted}`);
  events.onmessage = (e) => keepFocus(JSON.parse(e.data));
  events.onerror = () => say('status', 'the sandbox has ended, or is not to be reached');
}

function showOlder(s, count) {
  say('older', `Older messages (${s.older})`);
  const had = document.activeElement;
  byID('older').hidden = !s.older;
  byID('newest').hidden = count <= few;
  if (had === byID('older') && !s.older) byID('newest').focus();
  if (had === byID('newest') && count <= few) byID('older').focus();
}

form.addEventListener('submit', typed);
byID('report').addEventListener('click', () => act('report'));
byID('later').addEventListener('click', () => act('later'));
byID('slack').addEventListener('click', () => act('failSlack'));
byID('older').addEventListener('click', () => { wanted += 20; listen(); });
byID('newest').addEventListener('click', () => { wanted = few; listen(); });
listen();
