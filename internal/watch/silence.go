package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
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

// SilenceRequest is what somebody wants of silences. What, Incident, Root or End is set, and only one of them.
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
	Replaces string           `json:"replaces,omitempty"` // the number of the silence whose place it took
	// of a Root: those of its other load balancers
	Others []incident.Silence `json:"others,omitempty"`
	// the same request was made a moment ago, and stands: nothing new was stored
	Again    bool `json:"again,omitempty"`
	CLBs     int  `json:"loadBalancers"`
	Backends int  `json:"backends"`
	Out      int  `json:"out"` // of the backends, those that do not run or fail a health check
	// the same in words: "3 load balancers, 41 backends, 2 of them out"
	Covers string `json:"covers"`

	// Shown is the root that an acknowledgement or a Root is about, with what was made taken in, as a message
	// would show it now; its Root is nil for other requests.
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
		return errors.New("for is out of bounds: a silence lasts from 1m to 7d")
	case r.For >= incident.SilenceNeedWhy && strings.TrimSpace(r.Why) == "":
		return errors.New("why is missing: a silence of 4h or more needs a reason")
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
		return errors.New("for is out of bounds: an acknowledgement lasts from 1m to 24h")
	}
	return nil
}

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
	wanted, err := v.wanted(r)
	if err != nil {
		return SilenceAnswer{}, err
	}
	answer, err := v.answer(wanted...)
	if err != nil {
		return SilenceAnswer{}, err
	}
	all, err := w.Silences.List(ctx, nil)
	if err != nil {
		return SilenceAnswer{}, fmt.Errorf("list the silences: %w", err)
	}
	active := slices.DeleteFunc(slices.SortedFunc(slices.Values(all), bySilence),
		func(s incident.Silence) bool { return !s.Active(v.at) || isOver(s, v.heads) })
	answer.Again = true
	for n, s := range wanted {
		made, err := w.makeSilence(ctx, s, active, &answer)
		if err != nil {
			return answer, err
		}
		if wanted[n] = made; n == 0 {
			answer.Silence = made
		} else {
			answer.Others = append(answer.Others, made)
		}
	}
	answer.Shown = v.shown(cmp.Or(r.Incident, r.Root), wanted)
	return answer, nil
}

// makeSilence makes one silence in the place of those that are active of the same scope, and notes in the
// answer what it found. The very same, made a moment ago, stands.
func (w *Watcher) makeSilence(ctx context.Context, wanted incident.Silence, active []incident.Silence,
	answer *SilenceAnswer) (incident.Silence, error) {
	var replaced []incident.Silence
	others := 0
	for _, s := range active {
		if s.What != wanted.What || s.Incident != wanted.Incident {
			others++
			continue
		}
		if s.All == wanted.All && s.Why == wanted.Why && s.By == wanted.By &&
			wanted.Until.Sub(s.Until).Abs() < again && wanted.Made.Sub(s.Made) < again {
			return s, nil
		}
		replaced = append(replaced, s)
	}
	if others >= incident.MaxSilences {
		return wanted, fmt.Errorf("%d silences are active, which is the limit: end one", others)
	}
	made, err := w.Silences.Make(ctx, wanted)
	if err != nil {
		return made, fmt.Errorf("make a silence: %w", err)
	}
	answer.Again = false
	// If we stop here, the newest silence of the scope counts. The others must still end: they may outlast
	// it.
	for _, old := range replaced {
		answer.Replaces = old.ID
		if _, err := w.Silences.End(ctx, old.ID, wanted.By, made.Made); err != nil {
			answer.Silence = made
			return made, fmt.Errorf("silence %s was made; end silence %s, which it replaces: %w", made.ID, old.ID, err)
		}
	}
	return made, nil
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
	at := w.Store.Now()
	v, unknown := w.view(ctx)
	if unknown == nil {
		defer v.close()
		at = v.at
	}
	ended, err := w.Silences.End(ctx, r.End, strings.TrimSpace(r.By), at)
	if err != nil {
		return SilenceAnswer{}, fmt.Errorf("end silence %s: %w", r.End, err)
	}
	var answer SilenceAnswer
	if unknown == nil {
		answer, _ = v.answer(ended) // an error: nothing is left that it covered, or it cannot be read
	}
	answer.Silence = ended
	return answer, nil
}

// ListSilences returns the silences that are active, by number, and then the windows of the settings that are
// open. If those that people made cannot be listed, the error says why, and the windows come along with it.
func (w *Watcher) ListSilences(ctx context.Context) ([]incident.Silence, error) {
	made, err := w.madeSilences(ctx)
	all, _ := w.current(ctx) // what is wrong with the state, ticks say
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
