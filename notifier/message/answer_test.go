package message_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/watch"
	"clbwatch/notifier/message"
)

// made is silence 7, of ada's.
func made(what string, length time.Duration) incident.Silence {
	return incident.Silence{ID: "7", What: what, Why: "deploy 4711", By: "U0123ABCD", Made: at(4, 53),
		Until: at(4, 53).Add(length)}
}

// answers are what people are answered.
func answers(t *testing.T) map[string]message.Message {
	const covers = "3 load balancers, 41 backends, 2 of them out"
	ack, ended, hostile := made("", incident.MaxAck), made("prod-*", time.Hour), made("<!channel>*", time.Hour)
	ack.Incident, ack.Why = "12", ""
	ended.Ended, ended.EndedBy = at(5, 1), "U0123ABCD"
	hostile.Why, hostile.By = "<@U0123ABCD|boss> *bold* `code`", "<!here>"
	var five []incident.Silence
	for i := range 5 {
		s := made(fmt.Sprintf("prod-%c", 'a'+i), 30*time.Minute)
		s.ID = fmt.Sprint(7 + i)
		five = append(five, s)
	}
	uses := [][2]string{{"status", "what is open"}, {"silence prod-* 2h why", "hold notifications back"}}
	s := newStory(t).watch("prod-web", 3).set("prod-web", 4, "web-01", "web-02").tick()
	found := watch.Survey{
		Known:     true,
		At:        at(4, 53),
		Age:       40 * time.Second,
		Silences:  []incident.Silence{made("test-*", time.Hour)},
		Standings: []watch.Standing{standing(web, 1, 3, 2), standing(api, 2, 3, 0)},
	}
	well := found
	well.Silences, well.Standings = nil, []watch.Standing{standing(web, 1, 3, 0), standing(api, 2, 3, 0)}
	s.silence(incident.Silence{Incident: "1"}, incident.MaxAck).tick()
	found.Open = []incident.Document{s.document(s.state.Roots[0])}
	old := well
	old.Age = 25 * time.Minute
	old.Standings = []watch.Standing{{CLB: web, Err: errors.New("LBNotFound: <no> such load balancer")}}
	for _, v := range []watch.Survey{found, well, old} {
		checkReport(t, report.Of(v, 24*time.Hour, nil))
	}
	strict := made("prod-*", time.Hour)
	strict.All = true
	var plain message.Style
	did := func(m message.Made, all ...incident.Silence) message.Message {
		m.Silences, m.Covers, m.By = all, covers, "U0123ABCD"
		return message.Silenced(m, plain)
	}
	usual := made("prod-*", 2*time.Hour)
	doubt := errors.New("it is not known whether silence 9 was made: COS answers <500>")
	noMatch := errors.New("no load balancer matches \"<!here>\"; there are \"prod-web\"")
	return map[string]message.Message{
		"silenced":         did(message.Made{Replaces: "5"}, usual),
		"silenced-again":   did(message.Made{Again: true}, usual),
		"silenced-all":     did(message.Made{}, strict),
		"silenced-five":    did(message.Made{}, five...),
		"silenced-some":    did(message.Made{But: doubt}, five[:2]...),
		"silenced-hostile": did(message.Made{}, hostile),
		"acknowledged":     did(message.Made{}, ack),
		"ended":            did(message.Made{}, ended),
		"ended-before":     did(message.Made{Again: true, Still: "9"}, ended),
		"ended-twice":      did(message.Made{Again: true}, ended),
		"list":             message.List([]incident.Silence{usual, hostile}, nil, plain),
		"list-none":        message.List(nil, nil, plain),
		"list-broken":      message.List(nil, errors.New("COS answers <500>"), plain),
		"help":             message.Help("/clb", "", uses, plain),
		"help-wrong":       message.Help("/clb", "There is no “/clb <!here>”; did you mean “help”?", uses, plain),
		"not-done":         message.Refused("Not done", noMatch, plain),
		"status":           message.Status(report.Of(found, 24*time.Hour, nil), plain),
		"status-well":      message.Status(report.Of(well, 24*time.Hour, nil), plain),
		"status-old":       message.Status(report.Of(old, 24*time.Hour, errors.New("the head is <damaged>")), plain),
		"report-stored":    message.Report(report.Of(found, 24*time.Hour, nil), plain),
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, m := range answers(t) {
		checkMessage(t, m)
		golden(t, "answer-"+name+".golden.json", wire(t, m))
		golden(t, "answer-"+name+".golden.txt", []byte(m.Plain+"\n"))
		for public, kind := range map[bool]string{false: "ephemeral", true: "in_channel"} {
			raw, err := m.Answer(public)
			var a struct {
				Type string `json:"response_type"`
				Text string `json:"text"`
			}
			if err != nil || json.Unmarshal(raw, &a) != nil || a.Type != kind || a.Text != m.Text {
				t.Errorf("%s: Answer(%v) = %s, %v, want it %s", name, public, raw, err, kind)
			}
		}
	}
}

// buttonsOf are the labels and values of a message's buttons, which are the first of its details.
func buttonsOf(t *testing.T, m message.Message) (labels, values []string) {
	t.Helper()
	for i, b := range m.Attachment.Blocks.BlockSet {
		raw, err := json.Marshal(b)
		var block struct {
			Type     string
			Elements []struct {
				Text  struct{ Text string }
				Value string
			}
		}
		if err != nil || json.Unmarshal(raw, &block) != nil || block.Type != "actions" {
			continue
		}
		if i > 0 {
			t.Errorf("buttons are block %d of the details, want the first: Slack folds the end", i)
		}
		for _, e := range block.Elements {
			labels, values = append(labels, e.Text.Text), append(values, e.Value)
		}
	}
	return labels, slices.Compact(values)
}

func TestButtons(t *testing.T) {
	t.Parallel()
	all := []string{"Acknowledge", "Silence 30 min", "Silence 1 h", "Silence 4 h"}
	check := func(when string, s *story, want []string) {
		t.Helper()
		labels, values := buttonsOf(t, s.root())
		if !slices.Equal(labels, want) || len(want) > 0 && !slices.Equal(values, []string{"1"}) {
			t.Errorf("%s: buttons %q about %q, want %q about 1", when, labels, values, want)
		}
	}
	outage := func(n int) *story {
		s := newStory(t)
		s.style.Buttons = true
		for i := range n {
			s.watch(fmt.Sprintf("prod-%c", 'a'+i), 2)
		}
		for label := range s.pools {
			s.change(label, s.pools[label][0].Name, func(b *lb.Backend) { b.Status = 4 })
		}
		return s.tick()
	}
	s := outage(1)
	check("open", s, all)
	s.silence(incident.Silence{Incident: "1"}, incident.MaxAck).tick()
	check("acknowledged", s, all[1:])
	s.silence(incident.Silence{What: "prod-a"}, time.Hour).tick()
	check("silenced, too", s, nil)
	check("five load balancers", outage(5), all)
	check("six load balancers", outage(6), all[:1])
	s = outage(1)
	s.style.Buttons = false
	s.set("prod-a", 4, "a-02").tick()
	check("without an app that answers", s, nil)
	s = outage(1).set("prod-a", 2, "a-01").ticks(12)
	check("closed", s, nil)
	if labels, _ := buttonsOf(
		t,
		s.last(func(c incident.Call) bool { return c.Do == incident.Send && !c.Post.Root }),
	); labels != nil {
		t.Errorf("an update has buttons %q, want none", labels)
	}
	s = newStory(t).watch("prod-web", 2)
	s.style.Buttons = true
	s.unread = []incident.Unread{
		{Key: s.clbs["prod-web"].Key(), About: incident.Reading, Reason: incident.Reason{Why: "502"}},
	}
	s.ticks(4)
	check("what cannot be read", s, nil)
	s = outage(1)
	for _, form := range []incident.Form{incident.Plain, incident.Bare} {
		if labels, _ := buttonsOf(t, s.as(incident.Call{Do: incident.Edit, Form: form})); labels != nil {
			t.Errorf("form %v has buttons %q, want none", form, labels)
		}
	}
	if strings.Contains(s.root().Plain, "Acknowledge") {
		t.Error("text shows a button that nobody can press")
	}
}
