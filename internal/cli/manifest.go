package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"clbwatch/internal/text"
)

const (
	maxSlashCommand = 32 // characters, with the slash: Slack's limit
	maxEcho         = 80 // characters of a wrong argument that an error repeats
)

// manifestCommand needs no settings: the app is made before there is a token.
func (p *Program) manifestCommand() *cli.Command {
	c := command("manifest", "print the manifest of the Slack app, and a link that makes the app", p.manifest,
		&cli.StringFlag{Name: "url", Usage: "the Function URL: adds the slash command and buttons"},
		&cli.StringFlag{Name: "command", Value: "/clb", Usage: "the slash command; needs --url"})
	c.Description = "Without --url the app only posts. The output is YAML; the link is in its comments."
	return c
}

// manifest prints the manifest as YAML, below comments that say what to do with it, so that all of the output
// can be pasted into Slack, or kept in a file.
func (p *Program) manifest(_ context.Context, c *cli.Command) error {
	address, slash := c.String("url"), c.String("command")
	switch {
	case c.IsSet("url") && !isAddress(address):
		return usageError{fmt.Errorf("--url is %q, expected the Function URL, such as https://….tencentscf.com: "+
			"https, without a user, ? or #", text.Short(address, maxEcho))}
	case c.IsSet("command") && !c.IsSet("url"):
		return usageError{errors.New("--command needs --url: without a Function URL there is no slash command")}
	case !isSlashCommand(slash):
		return usageError{fmt.Errorf("--command is %q, expected a slash and a name in lower case, without spaces, "+
			"%d characters at most, such as /clb", text.Short(slash, maxEcho), maxSlashCommand)}
	}
	document, err := encode(manifestOf(address, slash))
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	block, err := yamlOf(document)
	if err != nil {
		return fmt.Errorf("write the manifest as YAML: %w", err)
	}
	_, err = io.WriteString(p.Stdout, manifestHelp(document, address != "")+block)
	return err
}

// manifestHelp is what the comments above the manifest say.
func manifestHelp(document []byte, interactive bool) string {
	// %20, not +, which is a space only to those who decode it as a form.
	escaped := strings.ReplaceAll(url.QueryEscape(string(document)), "+", "%20")
	help := "# To make the Slack app, open this link:\n" +
		"# https://api.slack.com/apps?new_app=1&manifest_json=" + escaped + "\n" +
		"# Or paste this manifest into https://api.slack.com/apps, Create New App, From a manifest.\n"
	if !interactive {
		help += "# This app only posts. --url https://… (the Function URL) adds a slash command and buttons.\n"
	}
	return help
}

// isAddress reports whether s is a URL that Slack can post to.
func isAddress(s string) bool {
	u, err := url.Parse(s)
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '?' || r == '#' }
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsFunc(s, odd)
}

// isSlashCommand reports whether Slack would take s as the name of a slash command.
func isSlashCommand(s string) bool {
	name, slash := strings.CutPrefix(s, "/")
	odd := func(r rune) bool {
		return unicode.IsUpper(r) || !unicode.IsPrint(r) || r == ' ' || r == utf8.RuneError
	}
	return slash && name != "" && !strings.ContainsFunc(name, odd) &&
		utf8.RuneCountInString(s) <= maxSlashCommand
}

// manifest is Slack's app manifest, as far as clbwatch needs it. The app subscribes to no events.
type manifest struct {
	Display  display  `json:"display_information"`
	Features features `json:"features"`
	OAuth    oauth    `json:"oauth_config"`
	Settings settings `json:"settings"`
}

type display struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type features struct {
	Bot           bot            `json:"bot_user"`
	SlashCommands []slashCommand `json:"slash_commands,omitempty"`
}

type bot struct {
	Name   string `json:"display_name"`
	Online bool   `json:"always_online"`
}

type slashCommand struct {
	Command     string `json:"command"`
	URL         string `json:"url"`
	Description string `json:"description"`
	Hint        string `json:"usage_hint"`
	Escape      bool   `json:"should_escape"` // false: the text comes as it was typed
}

type oauth struct {
	Scopes scopes `json:"scopes"`
}

type scopes struct {
	Bot []string `json:"bot"`
}

type settings struct {
	Interactivity *interactivity `json:"interactivity,omitempty"`
	OrgDeploy     bool           `json:"org_deploy_enabled"`
	SocketMode    bool           `json:"socket_mode_enabled"`    // a function cannot hold a socket open
	TokenRotation bool           `json:"token_rotation_enabled"` // a rotating token stops working after 12 hours
}

type interactivity struct {
	Enabled bool   `json:"is_enabled"`
	URL     string `json:"request_url"`
}

// manifestOf is the manifest of an app whose commands and clicks Slack sends to address. Without an address
// the app only posts.
func manifestOf(address, slash string) manifest {
	m := manifest{
		Display: display{
			Name:        "clbwatch",
			Description: "Tells when a backend of a Tencent Cloud load balancer stops, and when it is back",
		},
		Features: features{Bot: bot{Name: "clbwatch", Online: true}},
		// The history of public and of private channels: when Slack's answer to a post was lost, the app looks
		// there whether its message arrived.
		OAuth: oauth{Scopes: scopes{Bot: []string{"chat:write", "channels:history", "groups:history"}}},
	}
	if address == "" {
		return m
	}
	m.OAuth.Scopes.Bot = append(m.OAuth.Scopes.Bot, "commands")
	m.Features.SlashCommands = []slashCommand{{
		Command:     slash,
		URL:         address,
		Description: "Load balancers: how they stand, and silences",
		Hint:        "status | report | silence prod-* 2h why | list | end 7 | help",
	}}
	m.Settings.Interactivity = &interactivity{Enabled: true, URL: address}
	return m
}

// encode is v as JSON in one line, in which <, > and & stay as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}
