// Package demo tells a story with the built function, on the terminal and on a page with buttons, and fails
// if a message does not come that should, or one comes that should not. It refuses to reach beyond 127.0.0.1,
// and takes orders from its own page only.
package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"clbwatch/internal/sandbox/cloud"
	"clbwatch/internal/sandbox/scf"
	"clbwatch/internal/sandbox/slack"
	"clbwatch/internal/sandbox/terminal"
)

// Story tells, with a built function, what the function does when things happen in a cloud.
type Story struct {
	Function string    // path of the binary
	Out      io.Writer // the terminal
	Fast     bool      // no pauses for a reader
	Render   terminal.Options

	Listen string // address of the page, such as "127.0.0.1:0"; "" for none
	Live   bool   // no story: the page's buttons work at once, until the context ends
	Stay   bool   // after the story too, while somebody looks at the page
}

// patience is how long the page waits for somebody to look at it.
const patience = 30 * time.Second

// The cast: two classic load balancers and one of the application kind.
const (
	web, api, shop = "lb-8a3k2m1q", "lb-c4r9t0zw", "lb-k5h0pq7d"

	// the channel that prod-api gets
	teamChannel, teamName = "C0SANDBOX2", "team-api"

	readLine    = 700 * time.Millisecond  // for a line of narration
	readMessage = 1500 * time.Millisecond // for a message
)

func instance(name, ip string) cloud.Instance {
	// The id follows from the name, so that the story is the same each time.
	return cloud.Instance{ID: "ins-" + strings.ReplaceAll(name, "-", "") + "k2x", Name: name, LanIP: ip,
		Status: 2, Weight: 10}
}

// scene is one thing that happens, and what people must hear of it. Words are in lower case, and must come in
// their order.
type scene struct {
	title string
	do    func(*stage)

	// At most one of these comes before the ticks.
	event   string // by hand
	typed   string // a command of ada's
	pressed string // by ada: the label of a button of the newest message that has it

	answer []string // words of the answer to that
	ticks  int      // a minute apart; 0: one, or after an answer none. Only the last may post a message
	want   []string // words of the message; none means that there must be no message
	edited []string // words of a message that is edited meanwhile
}

// report is an event that somebody makes by hand.
const report = `{"action":"report"}`

func scenes() []scene {
	web02, web07 := instance("web-02", "10.0.3.12"), instance("web-07", "10.0.3.17")
	web08, shop02 := instance("web-08", "10.0.3.18"), instance("shop-02", "10.0.7.12")
	api03, api05 := instance("api-03", "10.0.5.13"), instance("api-05", "10.0.5.15")
	all := func(s *stage, status int) {
		for i := range 5 {
			s.cloud.SetStatus(instance(fmt.Sprintf("api-%02d", i+1), "").ID, status)
		}
	}
	return []scene{{
		title: "The function is deployed. Its first tick has nothing to compare with: it posts what it " +
			"watches.",
		want: []string{"now watching", "prod-web", "prod-api", "prod-shop"},
	}, {
		title: "A minute later nothing has happened, and nothing is posted.",
	}, {
		title: "An operator shuts web-07 down. An incident begins.",
		do:    func(s *stage) { s.cloud.SetStatus(web07.ID, 4) },
		want:  []string{"web-07 stopped on prod-web, 6 of 7 running", "shut down (4)"},
	}, {
		title: "web-07 is started again. That is an update in the incident's thread, and the first message " +
			"shows how things are now.",
		do:     func(s *stage) { s.cloud.SetStatus(web07.ID, 2) },
		want:   []string{"web-07 back on prod-web", "7 of 7 running"},
		edited: []string{"web-07 back on prod-web", "7 of 7 running"},
	}, {
		title: "Ten minutes later nothing else has happened: the incident is closed, struck through and " +
			"green.",
		ticks:  10,
		edited: []string{"web-07", "resolved after"},
	}, {
		title: "Somebody unbinds api-05 from prod-api. It is read twice before it is believed.",
		do:    func(s *stage) { s.cloud.Unbind(scf.Region, api, api05.ID) },
		want:  []string{"api-05 removed from prod-api, 4 of 4 running"},
	}, {
		title: "A new web-08 is bound to prod-web. What happens at about the same time shares one thread; " +
			"this concerns other people, so it is shown in the channel, too.",
		do:     func(s *stage) { s.cloud.Bind(scf.Region, web, web08) },
		want:   []string{"web-08 added to prod-web, 8 of 8 running"},
		edited: []string{"api-05", "web-08"},
	}, {
		title: "Ten minutes later. Capacity that was removed is not \"resolved\": it is over, and not " +
			"green.",
		ticks:  10,
		edited: []string{"removed", "added", "over"},
	}, {
		title: "All of prod-api crashes, and Slack answers nothing but 503. Nobody knows what arrived.",
		do: func(s *stage) {
			s.cloud.Bind(scf.Region, api, api05)
			all(s, 1)
			s.slack.FailCalls(slack.Calls{}, slack.Answer(http.StatusServiceUnavailable,
				"service unavailable"))
		},
	}, {
		title: "The platform kills the instance. A new one starts cold, and Slack is back. The bot looks " +
			"for what it posted, finds nothing, and posts how things are now.",
		do: func(s *stage) {
			s.slack.ClearFaults()
			s.function.close()
		},
		want: []string{"prod-api down: 0 of 5 running", "@here"},
	}, {
		title:  "prod-api is started again.",
		do:     func(s *stage) { all(s, 2) },
		want:   []string{"back on prod-api", "5 of 5 running"},
		edited: []string{"prod-api was down", "5 of 5 running"},
	}, {
		title: "It has been well for two minutes. What was shown in the channel in red ends there in green.",
		ticks: 2,
		want:  []string{"prod-api no longer down: 5 of 5 running"},
	}, {
		title:  "Ten minutes later.",
		ticks:  10,
		edited: []string{"prod-api was down", "resolved after"},
	}, {
		title: "Before a deployment ada silences prod-web for an hour, in Slack. A second function, which " +
			"can do nothing else, answers her.",
		typed:  "/clb silence prod-web 1h deploy 4711",
		answer: []string{"prod-web", "@ada", "deploy 4711", "1 load balancer, 8 backends"},
	}, {
		title: "web-07 stops and is back while the silence lasts. Nothing is posted.",
		do:    func(s *stage) { s.cloud.SetStatus(web07.ID, 4) },
	}, {
		title: "web-02 does not come back.",
		do: func(s *stage) {
			s.cloud.SetStatus(web07.ID, 2)
			s.cloud.SetStatus(web02.ID, 4)
		},
	}, {
		title: "The deployment is done, and ada ends the silence. What is not over is posted, and says why " +
			"only now.",
		typed:  "/clb end 1",
		answer: []string{"silence ended"},
		ticks:  1,
		want: []string{"web-02 stopped", "prod-web, 7 of 8 running", "after silence 1", "@ada: deploy 4711",
			"[acknowledge]"},
	}, {
		title:   "She takes care of it, and presses a button of the message, which then says so.",
		pressed: "Acknowledge",
		answer:  []string{"acknowledge", "@ada"},
		ticks:   1,
		edited:  []string{"acknowledged by @ada since"},
	}, {
		title: "web-02 is back. The recovery of what people were notified of is always posted.",
		do:    func(s *stage) { s.cloud.SetStatus(web02.ID, 2) },
		want:  []string{"web-02 back on prod-web", "8 of 8 running"},
	}, {
		title: "It flaps while somebody works on it. Nothing is posted; the first message shows how " +
			"things are.",
		do:     func(s *stage) { s.cloud.SetStatus(web02.ID, 4) },
		edited: []string{"web-02 stopped", "7 of 8 running", "acknowledged by @ada"},
	}, {
		title:  "It is back for good. Ten minutes later the incident is closed: the acknowledgement is over.",
		do:     func(s *stage) { s.cloud.SetStatus(web02.ID, 2) },
		ticks:  11,
		edited: []string{"2 machines out and back on prod-web", "resolved after"},
	}, {
		title: "The cloud's API answers 502 for prod-api. One bad tick is no news, and no removal; three " +
			"are a blind spot.",
		do:    func(s *stage) { s.cloud.Fail(api, cloud.FaultStatus(http.StatusBadGateway), -1) },
		ticks: 3,
		want:  []string{"cannot read prod-api"},
	}, {
		title: "The API is well again.",
		do:    func(s *stage) { s.cloud.ClearFaults() },
		want:  []string{"readable again: prod-api"},
	}, {
		title: "The API claims once, in perfect form, that prod-web is empty. It is not, and nobody " +
			"is woken up.",
		do:    func(s *stage) { s.cloud.Fail(web, cloud.FaultEmptyPool(), 1) },
		ticks: 2,
		want:  []string{"readable again: prod-api"}, // it has been for two minutes
	}, {
		title: "prod-shop is an application load balancer. shop-02 runs, but fails the health check of a " +
			"listener (CLB_HEALTH).",
		do:   func(s *stage) { s.cloud.SetHealth(scf.Region, shop, shop02.ID, "HTTPS:443", "Dead") },
		want: []string{"shop-02 unhealthy on prod-shop", "https:443"},
	}, {
		title:  "It passes again.",
		do:     func(s *stage) { s.cloud.SetHealth(scf.Region, shop, shop02.ID, "", "Alive") },
		want:   []string{"shop-02", "prod-shop"},
		edited: []string{"shop-02"},
	}, {
		title: "prod-web is upgraded to an application load balancer. Its backends are the same, and none " +
			"is reported as removed.",
		do:   func(s *stage) { s.cloud.SetApplication(scf.Region, web) },
		want: []string{"prod-web is an application load balancer now"},
	}, {
		title: "web-08 is unbound from one of its listeners.",
		do:    func(s *stage) { s.cloud.UnbindFrom(scf.Region, web, "TCP:8443", web08.ID) },
		want:  []string{"web-08 unbound from 1 of 2 listeners", "tcp:8443", "prod-web"},
	}, {
		title: "API 2.0 is closed for the account. From now on API 3.0 is read, and nobody is woken up.",
		do:    func(s *stage) { s.cloud.Fail("", cloud.FaultCode(4300, "RequestForbidden", "closed"), -1) },
		ticks: 10,
	}, {
		title: "prod-api gets a channel of its own (SLACK_ROUTES). Then api-03 stops: its team reads of it " +
			"there, and nobody else.",
		do: func(s *stage) {
			s.route()
			s.cloud.SetStatus(api03.ID, 4)
		},
		want: []string{"slack, #team-api\n", "api-03 stopped on prod-api, 4 of 5 running"},
	}, {
		title: "It is replaced tomorrow, so ada silences prod-api overnight. From four hours on, a silence " +
			"needs a reason.",
		typed:  "/clb silence prod-api 10h replace api-03",
		answer: []string{"1 load balancer, 5 backends, 1 of them out"},
	}, {
		title: "Somebody asks how things stand: " + report + " What is silenced comes first.",
		event: report,
		want: []string{"slack, #alerts\n", "silences (1)", "prod-api", "@ada: replace api-03",
			"open incidents (1)", "prod-api", "not running (1)", "api-03", "prod-web", "web-07"},
	}}
}

// Tell plays the story and checks it: a message that should have come and did not, or one too many, is an
// error.
func (s Story) Tell(ctx context.Context) error {
	st := newStage(s)
	cache, err := os.MkdirTemp("", "clbwatch-sandbox-")
	if err != nil {
		return fmt.Errorf("make a folder for the function: %w", err)
	}
	defer func() { _ = os.RemoveAll(cache) }() // what is left there harms nobody
	apiURL, stopCloud, err := serve("127.0.0.1:0", st.cloud)
	if err != nil {
		return err
	}
	defer stopCloud()
	v3URL, stopV3, err := serve("127.0.0.1:0", st.cloud.V3())
	if err != nil {
		return err
	}
	defer stopV3()
	slackURL, stopSlack, err := serve("127.0.0.1:0", st.slack)
	if err != nil {
		return err
	}
	defer stopSlack()
	cosURL, stopCOS, err := serve("127.0.0.1:0", st.bucket)
	if err != nil {
		return err
	}
	defer stopCOS()
	for i := range 7 {
		st.cloud.Bind(scf.Region, web, instance(fmt.Sprintf("web-%02d", i+1), fmt.Sprintf("10.0.3.%d", 11+i)))
	}
	for i := range 5 {
		st.cloud.Bind(scf.Region, api, instance(fmt.Sprintf("api-%02d", i+1), fmt.Sprintf("10.0.5.%d", 11+i)))
	}
	st.addShop()
	stopDesk, err := st.serveDesk(slackURL)
	if err != nil {
		return err
	}
	defer stopDesk()
	own := map[string]string{
		"CLB_ENDPOINT": apiURL + cloud.APIPath, "CLB_V3_ENDPOINT": v3URL,
		"CLB_BLIND_AFTER": "3", "CLB_HEALTH": "on", "CLB_RATE": "100", "SLACK_MENTION": "here",
		"SLACK_BOT_TOKEN": st.slack.Token(),
	}
	both := map[string]string{
		"CLB_IDS":    web + "=prod-web," + api + "=prod-api," + shop + "=prod-shop",
		"CLB_REGION": scf.Region, "TMPDIR": cache,
		"STATE_URL": "cos://sandbox-1250000000/" + stateFolder + "?region=" + scf.Region + "&endpoint=" +
			cosURL,
		"SLACK_CHANNEL": st.slack.ChannelID(), "SLACK_API_URL": st.slack.APIURL(slackURL),
		"SLACK_SIGNING_SECRET": st.slack.SigningSecret(),
	}
	st.desk.configure(both)
	maps.Copy(own, both)
	st.function.configure(own)
	defer st.function.end()
	defer st.desk.end()

	p := newPage(st)
	if s.Listen != "" {
		address, stopPage, err := serve(s.Listen, p)
		if err != nil {
			return err
		}
		defer stopPage()
		st.say("See it in a browser too: %s/", address)
	}
	if s.Live {
		st.route()
		return st.goLive(ctx, p, 0)
	}
	if err := st.tell(ctx); err != nil || !s.Stay {
		return err
	}
	st.say("The page's buttons work now. The function ticks every %v, and at once after each button.\n"+
		"It ends with Ctrl-C, or when nobody has looked at the page for %v.", liveEvery, patience)
	return st.goLive(ctx, p, patience)
}

// tell plays all scenes.
func (s *stage) tell(ctx context.Context) error {
	s.say("Three load balancers in %s: prod-web with 7 backends, prod-api with 5, prod-shop with 4.\n"+
		"Each tick is one call of the built function, as the platform's timer makes it once a minute; here "+
		"the minutes are short. What Slack shows is drawn below it.", scf.Region)
	for _, sc := range scenes() {
		if err := s.play(ctx, sc); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			return fmt.Errorf("%q: %w\nthe function's log:\n%s", sc.title, err, strings.Join(s.log(), "\n"))
		}
	}
	s.say("%d ticks, %d commands and clicks, %d API calls, %d messages. To watch your own load balancers: "+
		"README.md", s.ticks, s.talks, s.cloud.Calls()+s.cloud.CallsV3(), s.told)
	return nil
}

// serve serves h at an address of this machine.
func serve(address string, h http.Handler) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("serve the sandbox: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }() // ends with Close
	return "http://" + l.Addr().String(), func() { _ = srv.Close() }, nil
}
