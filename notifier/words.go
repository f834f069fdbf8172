package notifier

const addScope = "add the scopes chat:write and channels:history (groups:history for a private channel) in " +
	"the Slack app's page " +
	"OAuth & Permissions, and install the app again"

// botAdvice is what to do about a token or a channel that takes no message; "" for other codes.
func botAdvice(code string) string {
	switch code {
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive":
		return "SLACK_BOT_TOKEN is not valid (any more); copy it from the Slack app's page OAuth & Permissions"
	case "not_allowed_token_type":
		return "SLACK_BOT_TOKEN is a token of another kind; copy the Bot User OAuth Token, which begins with xoxb-"
	case "no_permission", "access_denied", "org_login_required", "ekm_access_denied",
		"two_factor_setup_required",
		"team_access_not_granted", "enterprise_is_restricted", "accesslimited":
		return "the workspace does not let the app in (SLACK_BOT_TOKEN); ask one of its administrators"
	case "channel_not_found":
		return "SLACK_CHANNEL is not the ID of a channel that the app can see; copy it from the channel's " +
			"details, and invite the app if the channel is private"
	case "not_in_channel":
		return "the app is not in the channel (SLACK_CHANNEL); write /invite @ and the app's name there"
	case "is_archived":
		return "the channel (SLACK_CHANNEL) is archived; bring it back, or set another one"
	case "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
		"restricted_action_non_threadable_channel", "restricted_action_thread_locked", "messages_tab_disabled":
		return "the app may not post in the channel (SLACK_CHANNEL); ask an administrator, or set another one"
	case "message_limit_exceeded":
		return "the workspace has used up its messages; ask one of its administrators"
	}
	return ""
}

// contentCode reports whether the code is about the message.
func contentCode(code string) bool {
	switch code {
	case "invalid_payload", "invalid_blocks", "invalid_attachments", "no_text", "too_many_attachments",
		"msg_blocks_too_long":
		return true
	}
	return false
}

// webhookAdvice is what to do about a webhook that takes no message; "" for other codes.
func webhookAdvice(code string) string {
	switch code {
	case "no_service", "no_service_id", "no_active_hooks":
		return "the webhook was revoked or turned off; make a new one in the Slack app's page Incoming Webhooks " +
			"and set it"
	case "invalid_token":
		return "the secret in it is wrong; copy it again from the Slack app's page Incoming Webhooks"
	case "no_team", "team_disabled":
		return "its workspace is gone or turned off; make a webhook in another one and set it"
	case "channel_not_found", "user_not_found":
		return "what it posted to is gone; make a new webhook and set it"
	case "channel_is_archived":
		return "its channel is archived; bring the channel back, or make a webhook for another one and set it"
	case "action_prohibited", "posting_to_general_channel_denied":
		return "an administrator forbids posting there; ask them, or make a webhook for another channel and set it"
	}
	return ""
}
