package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// stateForms is what STATE_URL may be.
const stateForms = "cos://bucket-appid/prefix?region=ap-guangzhou or file:///dir"

var (
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,58}-[0-9]{4,20}$`)
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
)

// parseState reads STATE_URL. On a laptop the default is the user's own folder.
func parseState(s string, p platform) (State, error) {
	if s == "" {
		home := p.StateHome
		if !filepath.IsAbs(home) && p.Local != "" {
			home = p.Local
		}
		if !filepath.IsAbs(home) && p.Home != "" { // a relative one is to be ignored, says its specification
			home = filepath.Join(p.Home, ".local", "state")
		}
		if p.onSCF() || !filepath.IsAbs(home) {
			return State{}, errors.New("is not set; expected " + stateForms)
		}
		return State{Dir: filepath.Join(home, "clbwatch")}, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.User != nil || u.Fragment != "" || strings.Contains(u.Path, "\x00"):
		// no file has that in its name
		return State{}, fmt.Errorf("is not a URL, expected %s", stateForms)
	case u.Scheme == "cos":
		return parseCOS(u, p)
	}
	dir := filepath.FromSlash(u.Path)
	if filepath.IsAbs(strings.TrimPrefix(dir, `\`)) { // file:///C:/dir, which is only there on Windows
		dir = strings.TrimPrefix(dir, `\`)
	}
	if u.Scheme != "file" || u.Host != "" || !filepath.IsAbs(dir) || u.RawQuery != "" {
		return State{}, fmt.Errorf("is %.80q, expected %s", s, stateForms)
	}
	dir = filepath.Clean(dir)
	if p.onSCF() && (dir == "/tmp" || strings.HasPrefix(dir, "/tmp/")) {
		return State{}, fmt.Errorf("is %.80q: on SCF /tmp dies with the instance, and with it alerts that are "+
			"owed; expected a place "+
			"that outlives it, such as %s", s, stateForms)
	}
	return State{Dir: dir}, nil
}

func parseCOS(u *url.URL, p platform) (State, error) {
	query := u.Query()
	state := State{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"),
		Region: cmp.Or(query.Get("region"), p.Region)}
	if e := query.Get("endpoint"); e != "" {
		var err error
		if state.Endpoint, err = parseEndpoint(e, "https://bucket-appid.cos-internal.ap-guangzhou.tencentcos.cn"); err != nil {
			return State{}, fmt.Errorf("has an endpoint that %w", err)
		}
	}
	if !p.onSCF() {
		switch {
		case filepath.IsAbs(p.CacheHome):
			state.Cache = p.CacheHome
		case filepath.IsAbs(p.Local):
			state.Cache = p.Local
		case filepath.IsAbs(p.Home):
			state.Cache = filepath.Join(p.Home, ".cache")
		}
	}
	query.Del("region")
	query.Del("endpoint")
	switch {
	case !bucketForm.MatchString(state.Bucket):
		return State{}, fmt.Errorf("has the bucket %.80q, expected its whole name with the appid, such as "+
			"ops-1250000000", state.Bucket)
	case !prefixForm.MatchString(state.Prefix) || len(state.Prefix) > 200 ||
		path.Clean(state.Prefix) != state.Prefix ||
		strings.HasPrefix(state.Prefix, ".."):
		return State{}, fmt.Errorf("has the prefix %.80q, expected one of letters, digits, '.', '_', '-' and '/', "+
			"such as clbwatch", state.Prefix)
	case !regionForm.MatchString(state.Region):
		return State{}, fmt.Errorf("has the region %.40q, expected one like ap-guangzhou", state.Region)
	case len(query) > 0:
		return State{}, errors.New("has more than region and endpoint behind its question mark")
	}
	return state, nil
}
