package message

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"clbwatch/internal/incident"
	"clbwatch/internal/lb"
	"clbwatch/internal/report"
	"clbwatch/internal/text"
)

// console is where a person looks after load balancers if the settings do not say otherwise.
const console = "https://console.cloud.tencent.com"

func (s Style) console() string {
	return safeURL(cmp.Or(strings.TrimSuffix(s.ConsoleURL, "/"), console))
}

// clbURL is where the load balancer is found in the console.
func (s Style) clbURL(c lb.CLB) string {
	rid, id := regionNumber(c.Region), text.Clean(c.ID, 48)
	if rid == 0 || id == "" || report.IsRegion(c) {
		return s.console() + "/clb"
	}
	return fmt.Sprintf("%s/clb/detail?rid=%d&id=%s", s.console(), rid, url.QueryEscape(id))
}

// backendURL is where a backend is found in the console; "" if it has no page of its own.
func (s Style) backendURL(region, kind, id string) string {
	rid, id := regionNumber(region), text.Clean(id, 48)
	if rid == 0 || id == "" || kind != "" {
		return ""
	}
	return fmt.Sprintf("%s/cvm/instance/detail?rid=%d&id=%s", s.console(), rid, url.QueryEscape(id))
}

// link leads to the load balancer if there is only one, else to all of them.
func (v view) link() string {
	first := v.Incidents[0]
	for _, i := range v.Incidents {
		if i.Key != first.Key || i.About == incident.Deleted || i.Baseline != nil && i.Baseline.CLBs > 1 {
			return v.style.console() + "/clb"
		}
	}
	return v.style.clbURL(v.clb(first))
}

// runbook is RUNBOOK_URL, filled in for the load balancer where it is worst; "" if there is none.
func (v view) runbook() string {
	if v.style.RunbookURL == "" {
		return ""
	}
	c := v.clb(v.worst()[0])
	clb, label, region := escaped(c.ID), escaped(report.Name(c)), escaped(c.Region)
	fill := strings.NewReplacer("{clb}", clb, "{label}", label, "{region}", region)
	return safeURL(fill.Replace(v.style.RunbookURL))
}

func escaped(s string) string { return url.PathEscape(text.Clean(s, 48)) }

// safeURL escapes what would end a link in mrkdwn. The settings have checked the rest.
func safeURL(u string) string {
	escape := strings.NewReplacer("<", "%3C", ">", "%3E", "|", "%7C", " ", "%20", "\n", "", "\r", "")
	return escape.Replace(u)
}

// regionNumber is the console's number for a region; 0 if it is not known here.
func regionNumber(region string) int {
	switch region {
	case "ap-guangzhou":
		return 1
	case "ap-shanghai":
		return 4
	case "ap-hongkong":
		return 5
	case "ap-beijing":
		return 8
	case "ap-singapore":
		return 9
	case "na-siliconvalley":
		return 15
	case "ap-chengdu":
		return 16
	case "eu-frankfurt":
		return 17
	case "ap-seoul":
		return 18
	case "ap-chongqing":
		return 19
	case "na-ashburn":
		return 22
	case "ap-bangkok":
		return 23
	case "ap-tokyo":
		return 25
	case "ap-nanjing":
		return 33
	}
	return 0
}
