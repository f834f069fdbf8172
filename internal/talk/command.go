package talk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"clbwatch/internal/incident"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

// order is one command as somebody typed it.
type order struct {
	name    string // of the command itself, such as "/clb"
	words   []string
	user    string // an ID
	trigger string
}

// said is an answer to a command.
type said struct {
	message.Message
	public bool     // everybody in the channel sees it: others need to know
	log    []string // as Answer.Log
}

// recently is what a report looks back on if nobody says.
const recently = 24 * time.Hour

// uses are what can be typed after the command's name.
var uses = [][2]string{
	{"status", "what is open and silenced, as ticks stored it"},
	{"report [7d]", "how every load balancer stands, and what changed; for everybody here"},
	{"silence prod-* 2h why", "hold notifications back, for 1 h if no time is given"},
	{"silence prod-* 2h all: why", "the same, and not even degraded or DOWN breaks through"},
	{"ack 12", "acknowledge an incident by its number: what is known of it is not told again"},
	{"list", "the silences that are active"},
	{"end 7", "end a silence by its number"},
	{"help", "this"},
}

// commands are what each of them does.
var commands = map[string]func(*Talk, context.Context, order) (said, error){
	"status":  (*Talk).status,
	"report":  (*Talk).report,
	"silence": (*Talk).silenceGlob,
	"ack":     (*Talk).acknowledge,
	"list":    (*Talk).list,
	"end":     (*Talk).end,
	"help":    (*Talk).help,
}

// command answers a command. Whatever is wrong with it, the answer says so, to who typed it only.
func (t *Talk) command(ctx context.Context, form url.Values) Answer {
	o := order{
		name:    cmp.Or(form.Get("command"), "/clb"),
		words:   split(form.Get("text")),
		user:    form.Get("user_id"),
		trigger: form.Get("trigger_id"),
	}
	if len(o.words) == 0 || o.words[0] == "" {
		o.words = []string{"help"}
	}
	asked := strings.ToLower(o.words[0])
	do, known := commands[asked]
	var s said
	var err error
	switch err = t.elsewhere(form.Get("channel_id")); {
	case err != nil:
		s.Message = message.Refused("Not here", err, t.Style)
	case !known:
		asked, err = "unknown", errors.New("there is no such command")
		s.Message = message.Help(o.name, unknown(o), uses, t.Style)
	default:
		if s, err = do(t, ctx, o); err != nil && s.Text == "" {
			s.Message = message.Refused("No answer", plainly(err), t.Style)
		}
	}
	answer := Answer{
		Status: http.StatusOK,
		Log:    append([]string{"asked", asked, "user", text.Clean(o.user, 30)}, s.log...),
	}
	if err != nil {
		answer.Log = append(answer.Log, "refused", err.Error())
	}
	if answer.Body, err = s.Answer(s.public); err != nil {
		answer.Body, answer.Log = nil, append(answer.Log, "unanswered", err.Error())
	}
	return answer
}

// unknown says what is wrong with a command that there is not, and which is the nearest.
func unknown(o order) string {
	asked := text.Short(text.Clean(o.words[0], 60), 30)
	says := fmt.Sprintf("There is no “%s %s”", text.Clean(o.name, 32), asked)
	if near := nearest(strings.ToLower(asked)); near != "" {
		says += fmt.Sprintf("; did you mean “%s”?", near)
	}
	return says
}

// nearest is the command that a word was probably meant to be; "" if none is near.
func nearest(word string) (name string) {
	best := max(2, len(word)/3) + 1
	for _, u := range uses { // in their order, so that the same word always gets the same answer
		known, _, _ := strings.Cut(u[0], " ")
		d := distance(word, known)
		if len(word) >= 2 && strings.HasPrefix(known, word) {
			d = 0
		}
		if d < best && d < len(known) {
			best, name = d, known
		}
	}
	return name
}

// distance is how many characters must be changed, added, left out, or swapped with the next, to make one
// word of another (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range t {
		rows[0][j+1] = j + 1
	}
	for i := range s {
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			d := min(rows[i][j+1]+1, rows[i+1][j]+1, rows[i][j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				d = min(d, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = d
		}
	}
	return rows[len(s)][len(t)]
}

// split divides a text into words. What is in quotes, which phones make round, is one word.
func split(s string) (words []string) {
	var word strings.Builder
	inWord, quoted := false, false
	for _, r := range s {
		switch {
		case strings.ContainsRune("\"“”„", r):
			quoted, inWord = !quoted, true
		case unicode.IsSpace(r) && !quoted:
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

func (t *Talk) help(_ context.Context, o order) (said, error) {
	return said{Message: message.Help(o.name, "", uses, t.Style)}, nil
}

func (t *Talk) status(ctx context.Context, _ order) (said, error) {
	found, err := t.Desk.Stored(ctx, recently, true)
	if err != nil && !found.Known {
		return said{}, err
	}
	return said{Message: message.Status(report.Of(found, recently, err), t.Style)}, nil
}

// report answers with a whole report. If there is no time to count every backend, it is a status that says
// so.
func (t *Talk) report(ctx context.Context, o order) (said, error) {
	back := recently
	if len(o.words) > 1 {
		var err error
		if back, err = text.Period(o.words[1]); err != nil {
			return said{}, err
		}
	}
	most, cancel := context.WithTimeout(ctx, patience*2/3)
	defer cancel()
	found, err := t.Desk.Stored(most, back, false)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		if found, err = t.Desk.Stored(ctx, back, true); err != nil {
			return said{}, err
		}
		r := report.Of(found, back, nil)
		r.Note = "There was no time for all of it: clbwatch report, or a report by timer, has backends and changes"
		return said{Message: message.Status(r, t.Style), public: true}, nil
	case err != nil && !found.Known:
		return said{}, err
	}
	return said{Message: message.Report(report.Of(found, back, err), t.Style), public: true}, nil
}

func (t *Talk) list(ctx context.Context, _ order) (said, error) {
	active, err := t.Desk.ListSilences(ctx)
	return said{Message: message.List(active, err, t.Style)}, nil
}

func (t *Talk) silenceGlob(ctx context.Context, o order) (said, error) {
	if len(o.words) < 2 || o.words[1] == "" {
		return t.mistyped("say what to silence: silence prod-* 2h why; * stands for any text")
	}
	r := watch.SilenceRequest{What: o.words[1], By: o.user}
	rest, err := lasts(&r, o.words[2:])
	if err != nil {
		return t.mistyped(err.Error())
	}
	// Not the word alone: a reason may begin with it, and what it holds back is an outage.
	if len(rest) > 0 &&
		(strings.ToLower(rest[0]) == "all:" || len(rest) == 1 && strings.ToLower(rest[0]) == "all") {
		r.All, rest = true, rest[1:]
	}
	r.Why = strings.Join(rest, " ")
	return t.change(ctx, o, r)
}

func (t *Talk) acknowledge(ctx context.Context, o order) (said, error) {
	if len(o.words) < 2 {
		return t.mistyped("say which incident to acknowledge: ack 12; its number is in its message")
	}
	r := watch.SilenceRequest{Incident: strings.TrimPrefix(o.words[1], "#"), By: o.user}
	rest, err := lasts(&r, o.words[2:])
	if err != nil {
		return t.mistyped(err.Error())
	}
	r.Why = strings.Join(rest, " ")
	return t.change(ctx, o, r)
}

func (t *Talk) end(ctx context.Context, o order) (said, error) {
	if len(o.words) != 2 {
		return t.mistyped("say which silence to end: end 7; list has their numbers")
	}
	return t.change(ctx, o, watch.SilenceRequest{End: strings.TrimPrefix(o.words[1], "#"), By: o.user})
}

// mistyped says what is wrong with a command that would change something.
func (t *Talk) mistyped(why string) (said, error) {
	err := errors.New(why)
	return said{Message: t.changed(watch.SilenceAnswer{}, err, "")}, err
}

// lasts takes for how long from the words of a command, and returns the others.
func lasts(r *watch.SilenceRequest, words []string) (rest []string, err error) {
	r.For, rest, err = text.LengthFirst(words, incident.MinSilence, incident.MaxSilence, "1m to 7d")
	return rest, err
}

// change does what a command asks of silences. Everybody sees what was done.
func (t *Talk) change(ctx context.Context, o order, r watch.SilenceRequest) (said, error) {
	a, err := t.silence(ctx, o.trigger, r)
	return said{Message: t.changed(a, err, o.user), public: a.Silence.ID != "", log: did(a)}, err
}
