package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"clbwatch/internal/incident"
	"clbwatch/internal/state"
)

// Silences keeps the silences that people make. It may be used by several runs at once.
type Silences interface {
	// List returns those that are active, and those that ended less than a day ago. Of those that known has
	// and that have not ended since, nothing is read anew.
	List(ctx context.Context, known []incident.Silence) ([]incident.Silence, error)
	// Make stores a silence under the next free number, and returns it with that as its ID.
	Make(ctx context.Context, s incident.Silence) (incident.Silence, error)
	// End ends one. It is an error that names it if there is none.
	End(ctx context.Context, id, by string, at time.Time) (incident.Silence, error)
}

// SilenceRequest is what somebody wants of silences. One of What, Incident, Root and End is set.
type SilenceRequest struct {
	What     string        // a glob of load balancers
	Incident string        // the number of an incident, to acknowledge it
	Root     string        // the number of a root, to silence the load balancers that are open in it
	End      string        // the number of a silence, to end it
	For      time.Duration // 0: DefaultSilence, or of an incident MaxAck
	All      bool
	Why, By  string
}

// SilenceAnswer says which silence was made or ended, and what it covers now.
type SilenceAnswer struct {
	Silence  incident.Silence `json:"silence"`
	Replaces string           `json:"replaces,omitempty"` // the numbers of the silences whose place it took
	// of a Root: those of its other load balancers
	Others []incident.Silence `json:"others,omitempty"`
	// the same request was made a moment ago, and stands; or the silence had ended before: nothing was stored
	Again bool `json:"again,omitempty"`
	// of one that was ended: the number of another that covers the same and goes on
	Still    string `json:"still,omitempty"`
	CLBs     int    `json:"loadBalancers"`
	Backends int    `json:"backends"`
	Out      int    `json:"out"` // of the backends, those that do not run or fail a health check
	// there was no time to count backends
	Uncounted bool `json:"uncounted,omitempty"`
	// the same in words: "3 load balancers, 41 backends, 2 of them out"
	Covers string `json:"covers"`

	// Shown is the root that an acknowledgement or a Root is about: if a webhook posted it, as a message would
	// show it now, else no more than its Root; nil for other requests.
	Shown incident.Document `json:"-"`
}

// again is how long the same request is taken for the same one: people whose command is not answered in time
// press Enter again.
const again = time.Minute

var (
	incidentNumber = regexp.MustCompile(`^[0-9]{1,18}(-[0-9]{1,2})?$`)
	silenceNumber  = regexp.MustCompile(`^[0-9]{1,18}$`)
)

// Check says what is wrong with a request by itself, before anything is read. Its errors name the fields as
// events do.
func (r SilenceRequest) Check() error {
	var given []string
	type field struct{ name, is string }
	for _, f := range []field{{"what", r.What}, {"incident", r.Incident}, {"root", r.Root}, {"end", r.End}} {
		if f.is != "" {
			given = append(given, f.name)
		}
	}
	const expected = "expected one of what (a glob of load balancers), incident (the number of one, to " +
		"acknowledge it) and end (the number of a silence, to end it)"
	switch len(given) {
	case 0:
		return errors.New("there is nothing to silence, " + expected)
	case 1:
	default:
		return fmt.Errorf("%s are given together, %s", strings.Join(given, " and "), expected)
	}
	for _, f := range []field{{"what", r.What}, {"why", r.Why}, {"by", r.By}} {
		if len(f.is) > incident.MaxSilenceText {
			return fmt.Errorf("%s has %d bytes, expected at most %d", f.name, len(f.is),
				incident.MaxSilenceText)
		}
		if !utf8.ValidString(f.is) || strings.ContainsFunc(f.is, unicode.IsControl) {
			return fmt.Errorf("%s is %.40q, expected one line without control characters", f.name, f.is)
		}
	}
	switch {
	case r.End != "":
		return r.checkEnd()
	case r.Incident != "":
		return r.checkAcknowledgement()
	case r.Root != "" && !incidentNumber.MatchString(r.Root):
		return fmt.Errorf("root is %.40q, expected the number of an incident, such as 12", r.Root)
	case r.For != 0 && (r.For < incident.MinSilence || r.For > incident.MaxSilence):
		return errors.New("a silence lasts from 1m to 7d (for)")
	case r.For >= incident.SilenceNeedWhy && strings.TrimSpace(r.Why) == "":
		return errors.New("a silence of 4h or more needs a reason (why)")
	}
	return nil
}

// checkEnd checks a request to end a silence.
func (r SilenceRequest) checkEnd() error {
	switch {
	case !silenceNumber.MatchString(r.End):
		return fmt.Errorf("end is %.40q, expected the number of a silence, such as 7; a window of the "+
			"setting SILENCES ends by itself", r.End)
	case r.For != 0:
		return errors.New("for and end are given together: for is how long a new silence lasts")
	case r.All:
		return errors.New("all and end are given together: all is for a new silence")
	case r.Why != "":
		return errors.New("why and end are given together: why is for a new silence")
	}
	return nil
}

// checkAcknowledgement checks a request to acknowledge an incident. It needs no reason: somebody works on it,
// and it ends with the incident.
func (r SilenceRequest) checkAcknowledgement() error {
	switch {
	case !incidentNumber.MatchString(r.Incident):
		return fmt.Errorf("incident is %.40q, expected the number of an incident, such as 12", r.Incident)
	case r.All:
		return errors.New("all and incident are given together: an acknowledgement ends when it gets worse")
	case r.For != 0 && (r.For < incident.MinSilence || r.For > incident.MaxAck):
		return errors.New("an acknowledgement lasts from 1m to 24h (for)")
	}
	return nil
}

// ErrDoubt means that it is not known whether a silence was made, or ended.
var ErrDoubt = state.ErrDoubt

// errNoSilences is the error of a request where no silences are kept.
var errNoSilences = errors.New("no silences are kept with this state")

// Silence makes or ends a silence, and says what it covers by what the last ticks stored: it does not ask the
// cloud. It is an error if it would cover nothing. Nothing is written before the request is understood and
// checked.
func (w *Watcher) Silence(ctx context.Context, r SilenceRequest) (SilenceAnswer, error) {
	if err := r.Check(); err != nil {
		return SilenceAnswer{}, err
	}
	if w.Silences == nil {
		return SilenceAnswer{}, errNoSilences
	}
	if r.End != "" {
		return w.endSilence(ctx, r)
	}
	v, err := w.view(ctx)
	if err != nil {
		return SilenceAnswer{}, err
	}
	defer v.close()
	active, err := w.goingOn(ctx, v)
	if err != nil {
		return SilenceAnswer{}, err
	}
	wanted, err := v.wanted(r, active)
	if err != nil {
		return SilenceAnswer{}, err
	}
	answer, err := v.answer(ctx, wanted...)
	if err != nil {
		return SilenceAnswer{}, err
	}
	results, errs := make([]madeSilence, len(wanted)), make([]error, len(wanted))
	var making sync.WaitGroup
	for n, s := range wanted {
		making.Go(func() { results[n], errs[n] = w.makeSilence(ctx, s, active) })
	}
	making.Wait()
	answer.take(results)
	if err := errors.Join(errs...); err != nil {
		return answer, err
	}
	for _, m := range results {
		active = append(active, m.Silence)
	}
	answer.Shown = v.shown(cmp.Or(r.Incident, r.Root), active)
	return answer, nil
}

// goingOn are the silences that people made and that count now, by number: of each scope one.
func (w *Watcher) goingOn(ctx context.Context, v *view) ([]incident.Silence, error) {
	all, err := w.Silences.List(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list the silences: %w", err)
	}
	all = slices.SortedFunc(slices.Values(all), bySilence)
	over := func(s incident.Silence) bool { return !s.Active(v.at) || isOver(s, v.level.Heads) }
	return slices.DeleteFunc(all, over), nil
}

// madeSilence is one that was made, or stands.
type madeSilence struct {
	incident.Silence
	replaces string // the number of the last one in whose place it is
	stands   bool   // it was there before
}

// take takes in what was made.
func (a *SilenceAnswer) take(all []madeSilence) {
	all = slices.DeleteFunc(all, func(m madeSilence) bool { return m.ID == "" }) // why, an error says
	slices.SortFunc(all, func(x, y madeSilence) int { return bySilence(x.Silence, y.Silence) })
	a.Again = len(all) > 0
	var replaces []string
	for n, m := range all {
		if n == 0 {
			a.Silence = m.Silence
		} else {
			a.Others = append(a.Others, m.Silence)
		}
		if m.replaces != "" {
			replaces = append(replaces, m.replaces)
		}
		a.Again = a.Again && m.stands
	}
	a.Replaces = strings.Join(replaces, ", ")
}

// makeSilence makes one silence in the place of those that are active of the same scope. The very same, made
// a moment ago, stands.
func (w *Watcher) makeSilence(ctx context.Context, wanted incident.Silence, active []incident.Silence) (
	made madeSilence, err error) {
	same := func(s incident.Silence) bool { return s.What == wanted.What && s.Incident == wanted.Incident }
	var replaced []incident.Silence
	for _, s := range active {
		if same(s) {
			replaced = append(replaced, s)
		}
	}
	if n := len(replaced); n > 0 { // the newest is the one that counts
		if s := replaced[n-1]; isAgain(wanted, s) {
			return madeSilence{Silence: s, stands: true}, nil
		}
	}
	if len(active)-len(replaced) >= incident.MaxSilences {
		return made, fmt.Errorf("%d silences are active, which is the limit: end one", len(active)-len(replaced))
	}
	if made.Silence, err = w.Silences.Make(ctx, wanted); err != nil {
		return madeSilence{}, fmt.Errorf("make a silence: %w", err)
	}
	// If we stop here, the newest silence of the scope counts. The others must still end: they may outlast
	// it.
	for _, old := range replaced {
		made.replaces = old.ID
		if _, err := w.Silences.End(ctx, old.ID, wanted.By, made.Made); err != nil {
			return made, fmt.Errorf("silence %s was made; end silence %s, which it replaces: %w", made.ID, old.ID, err)
		}
	}
	return made, nil
}

// isAgain reports whether a silence that is wanted is the very same as one that was made a moment ago.
func isAgain(wanted, s incident.Silence) bool {
	return s.What == wanted.What && s.Incident == wanted.Incident && s.All == wanted.All &&
		s.Why == wanted.Why && s.By == wanted.By && wanted.Until.Sub(s.Until).Abs() < again &&
		wanted.Made.Sub(s.Made) < again
}

// lasts is how long the silence is to last.
func (r SilenceRequest) lasts() time.Duration {
	if r.Incident != "" {
		return cmp.Or(r.For, incident.MaxAck)
	}
	return cmp.Or(r.For, incident.DefaultSilence)
}

// endSilence ends a silence. That needs no state: what it covered is then not known.
func (w *Watcher) endSilence(ctx context.Context, r SilenceRequest) (SilenceAnswer, error) {
	looking, cancel := part(ctx, 3)
	defer cancel()
	v, unknown := w.view(looking)
	at := w.Store.Now()
	if unknown == nil {
		defer v.close()
		at = v.at
	}
	by := strings.TrimSpace(r.By)
	ended, err := w.Silences.End(ctx, r.End, by, at)
	if err != nil {
		return SilenceAnswer{}, fmt.Errorf("end silence %s: %w", r.End, err)
	}
	var answer SilenceAnswer
	if unknown == nil {
		answer, _ = v.answer(ctx, ended) // an error: nothing is left that it covered, or it cannot be read
		all, _ := w.goingOn(ctx, v)      // an error: then it is not known whether another goes on
		for _, s := range all {
			if s.ID != ended.ID && s.What == ended.What && s.Incident == ended.Incident {
				answer.Still = s.ID
			}
		}
	}
	answer.Silence = ended
	answer.Again = ended.Until.Before(at) || ended.EndedBy != by || !ended.Ended.Equal(at)
	return answer, nil
}

// ListSilences returns the silences that are active, by number, and then the windows of the settings that are
// open. If those that people made cannot be listed, the error says why, and the windows come along with it.
func (w *Watcher) ListSilences(ctx context.Context) ([]incident.Silence, error) {
	made, err := w.madeSilences(ctx)
	looking, cancel := part(ctx, 2)
	defer cancel()
	all, _ := w.current(looking) // what is wrong with the state, ticks say
	return w.activeSilences(made, w.Store.Now(), all.Heads), err
}

// madeSilences are the silences that people made and that are active, or ended less than a day ago.
func (w *Watcher) madeSilences(ctx context.Context) ([]incident.Silence, error) {
	if w.Silences == nil {
		return nil, nil
	}
	made, err := w.Silences.List(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list the silences: %w", err)
	}
	return made, nil
}

// activeSilences are those that count: of each scope only the newest, if it is not over, then the windows.
// heads say which acknowledgements are over; without them none is.
func (w *Watcher) activeSilences(made []incident.Silence, at time.Time,
	heads []*state.Head) []incident.Silence {
	made = slices.SortedFunc(slices.Values(made), bySilence)
	incident.Replace(made)
	active := slices.DeleteFunc(made, func(s incident.Silence) bool { return !s.Active(at) || isOver(s, heads) })
	return append(active, w.Rules.Windows.Active(at)...)
}

// isOver reports whether a silence is an acknowledgement that ended with its incidents, or because they got
// worse.
func isOver(s incident.Silence, heads []*state.Head) bool {
	known := false
	for _, h := range heads {
		if h == nil {
			continue
		}
		_, ok := h.Incidents.SilenceByID(s.ID)
		known = known || ok
		for _, r := range h.Incidents.Roots {
			if slices.ContainsFunc(r.Incidents, func(i *incident.Incident) bool { return i.Open() && i.Ack == s.ID }) {
				return false
			}
		}
	}
	return known && s.Incident != ""
}

// bySilence orders silences by their numbers, the oldest first.
func bySilence(a, b incident.Silence) int { return byNumber(a.ID, b.ID) }

// byNumber orders the numbers of silences or of incidents.
func byNumber(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }
