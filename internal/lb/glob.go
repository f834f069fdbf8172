package lb

// Matches reports whether a glob is about the load balancer: it is matched against what people call it, its
// name in the cloud and its id, each as a whole. * stands for any text, ? for any one character, and all else
// for itself; capitals count.
func (c CLB) Matches(glob string) bool {
	for _, name := range []string{c.Label, c.Title, c.ID} {
		if name != "" && matches([]rune(glob), []rune(name)) {
			return true
		}
	}
	return false
}

// matches takes time in proportion to the product of the lengths at most: names are untrusted.
func matches(glob, name []rune) bool {
	star, from := -1, 0 // the last * seen, and where what it stands for ends
	g, n := 0, 0
	for n < len(name) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, from = g, n
			g++
		case g < len(glob) && (glob[g] == '?' || glob[g] == name[n]):
			g, n = g+1, n+1
		case star >= 0: // the * stands for one more
			from++
			g, n = star+1, from
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}
