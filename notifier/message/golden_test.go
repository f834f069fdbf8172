package message_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"

	"github.com/slack-go/slack"

	"clbwatch/notifier/message"
)

var update = flag.Bool("update", false, "rewrite testdata")

// wire is the message as it is posted, indented.
func wire(t failer, m message.Message) []byte {
	t.Helper()
	body := map[string]any{"text": m.Text}
	if m.Blocks != nil {
		body["blocks"] = m.Blocks
	}
	if m.Attachment.Color != "" {
		body["attachments"] = []slack.Attachment{m.Attachment}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(body); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func golden(t failer, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}
