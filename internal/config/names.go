package config

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

var (
	regionForm = regexp.MustCompile(`^[a-z]{2,20}(-[a-z0-9]{1,20}){1,3}$`)
	idForm     = regexp.MustCompile(`^[a-z]{1,8}-?[A-Za-z0-9]{4,60}$`)
)

// parseCLBs reads "[region/]lb-id[=label]", separated by commas or spaces.
func parseCLBs(s, region string) ([]lb.CLB, []error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(words) == 0 {
		return nil, []error{errors.New("is not set, and neither is CLB_DISCOVER; expected [region/]lb-id[=label], " +
			"separated by commas; see docs/settings.md")}
	}
	var clbs []lb.CLB
	var errs []error
	seen := make(map[string]bool)
	for _, word := range words {
		c, err := parseCLB(word, region)
		if err == nil && seen[c.Key()] {
			err = fmt.Errorf("has %s twice", c.Key())
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		seen[c.Key()] = true
		clbs = append(clbs, c)
	}
	slices.SortFunc(clbs, func(a, b lb.CLB) int { return cmp.Compare(a.Key(), b.Key()) })
	return clbs, errs
}

func parseCLB(word, region string) (lb.CLB, error) {
	c := lb.CLB{Region: region, ID: word}
	c.ID, c.Label, _ = strings.Cut(c.ID, "=")
	if r, id, ok := strings.Cut(c.ID, "/"); ok {
		c.Region, c.ID = r, id
	}
	switch {
	case !idForm.MatchString(c.ID):
		return c, fmt.Errorf("has %.60q, expected [region/]lb-id[=label], such as ap-guangzhou/lb-byhpduqt=web",
			word)
	case c.Region == "":
		return c, fmt.Errorf("has %.60q without a region, and CLB_REGION is not set", word)
	case !regionForm.MatchString(c.Region):
		return c, fmt.Errorf("has %.60q with the region %.40q, expected one like ap-guangzhou", word, c.Region)
	case utf8.RuneCountInString(c.Label) > 48:
		return c, fmt.Errorf("has a label of more than 48 characters for %s", c.ID)
	}
	return c, nil
}

// scopeForms is what CLB_DISCOVER may be.
const scopeForms = "region, region/name-* or region/tag:key=value, separated by commas, such as " +
	"ap-guangzhou/prod-*"

// parseScopes reads CLB_DISCOVER.
func parseScopes(s, api string) (scopes []watch.Scope, errs []error) {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		region, filter, filtered := strings.Cut(word, "/")
		scope := watch.Scope{Region: region}
		tag, isTag := strings.CutPrefix(filter, "tag:")
		if isTag {
			scope.Key, scope.Tag, isTag = strings.Cut(tag, "=")
			filtered = isTag && scope.Key != ""
		} else {
			scope.Glob = filter
		}
		_, bad := path.Match(scope.Glob, "")
		switch {
		case !regionForm.MatchString(region):
			errs = append(errs, fmt.Errorf("has the region %.40q, expected %s", region, scopeForms))
		case bad != nil || strings.HasSuffix(word, "/") || strings.HasPrefix(filter, "tag:") && !filtered ||
			len(filter) > 128:
			errs = append(errs, fmt.Errorf("has %.80q, expected %s", word, scopeForms))
		case scope.Key != "" && api == "v2":
			errs = append(errs, fmt.Errorf("has %.80q, and CLB_API is v2: only API 3.0 tells tags", word))
		case slices.Contains(scopes, scope):
			errs = append(errs, fmt.Errorf("has %.80q twice", word))
		default:
			scopes = append(scopes, scope)
		}
	}
	return scopes, errs
}
