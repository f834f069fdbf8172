package watch_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"clbwatch/internal/incident"
	"clbwatch/internal/watchtest"
)

func TestPreviewStoresAndPostsNothing(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	tick(t, w, web)
	before, snapshot := w.Head().N, w.Snapshot()
	w.Set(web)
	w.Advance(time.Minute)
	calls := ops(w)
	posts, sum, err := w.Watcher(web).Preview(deadline(t, w))
	if err != nil || len(posts) != 1 || sum.Changes != 1 || sum.Pending != 1 || sum.Sent != 0 ||
		sum.Head != before {
		t.Fatalf("Preview = %+v, %+v, %v, want one message", posts, sum, err)
	}
	p := posts[0]
	if c := p.Document.Incidents[0].Counts; c.Removed != 1 || p.Call.Do != incident.Send || !p.Call.Post.Root ||
		p.Call.Route != w.Route() {
		t.Errorf("Preview = %+v of %+v, want the root that says that one was removed", p.Call, c)
	}
	if name := p.Document.Name(web); name.Key() != web {
		t.Errorf("its document calls %s %+v", web, name)
	}
	if h := w.Head(); h.N != before || w.Snapshot() != snapshot || len(w.Slack()) != 1 {
		t.Errorf("after Preview the head is %d, want %d; %d messages, want 1", h.N, before, len(w.Slack()))
	}
	for _, op := range []string{"commit", "commit snapshot", "create segment", "once", "send", "edit", "look"} {
		if slices.Contains(*calls, op) {
			t.Errorf("Preview did %q", *calls)
		}
	}
	if tick(t, w, web); news(w) != "watching 1: 1 of 1 | ins-a removed" {
		t.Errorf("the tick that follows posted %q", news(w))
	}
}

func TestPreviewOfAFirstTick(t *testing.T) {
	t.Parallel()
	w := watchtest.New()
	w.Set(web, up("ins-a")...)
	posts, sum, err := w.Watcher(web).Preview(deadline(t, w))
	if err != nil || len(posts) != 1 || posts[0].Document.Incidents[0].About != incident.Watching ||
		sum.Head != 0 {
		t.Errorf("Preview = %+v, %+v, %v, want the baseline", posts, sum, err)
	}
	if w.Head() != nil {
		t.Error("it left a head")
	}
}

func TestPreviewSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	down := errors.New("403")
	for _, op := range []string{"load", "open", "read"} {
		w := watchtest.New()
		w.Set(web, up("ins-a")...)
		tick(t, w, web)
		w.Fail(fail(op, down))
		if posts, sum, err := w.Watcher(web).Preview(deadline(t, w)); !errors.Is(err, down) || sum.CLBs != 1 {
			t.Errorf("%s fails: Preview = %+v, %+v, %v, want the error", op, posts, sum, err)
		}
	}
}
