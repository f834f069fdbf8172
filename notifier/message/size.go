package message

import (
	"encoding/json"

	"github.com/slack-go/slack"
)

// Limits of one message. Slack's own are higher and partly unpublished.
const (
	maxBytes  = 11_000 // JSON of blocks and attachments
	maxBlocks = 45     // Slack takes 50
	maxText   = 3_000  // bytes of UTF-8; Slack cuts or refuses text from 4,000 on
	maxTitle  = 150    // characters
)

// room is how much detail there is room for. It shrinks until the message is inside the limits.
type room struct {
	rows int // machines, in a message
	clbs int // load balancers, in each part of the message
}

// rooms are tried in turn. The last one fits whatever the names are; FuzzRender holds that.
func rooms() []room {
	return []room{{20, 15}, {20, 12}, {14, 10}, {10, 8}, {7, 6}, {5, 5}, {4, 4}, {3, 3}, {2, 2}, {1, 1}}
}

// fits reports whether Slack takes the message.
func (m Message) fits() bool {
	attachments := []slack.Attachment{}
	if m.Attachment.Color != "" {
		attachments = append(attachments, m.Attachment)
	}
	b, err := json.Marshal(struct {
		Blocks      []slack.Block      `json:"blocks"`
		Attachments []slack.Attachment `json:"attachments"`
	}{m.Blocks, attachments})
	return err == nil && len(b) <= maxBytes && len(m.Blocks)+len(m.Attachment.Blocks.BlockSet) <= maxBlocks
}
