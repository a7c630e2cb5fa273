"""What is told after a change was made. The address names one of these sentences and never brings its own."""

NOTICES = {
    "logged-out": "You are logged out.",
    "own-password": "Your password was changed. You were logged out everywhere else.",
    "own-password-login": "Your password was changed. Log in with the new one.",
    "registered": "Your e-mail is confirmed. Log in.",
    "user-made": "The user was added.",
    "user-changed": "The user was changed.",
    "user-deleted": "The user was deleted.",
    "user-on": "The user can log in again.",
    "user-off": "The user was deactivated and logged out everywhere.",
    "password-set": "The password was changed. The user was logged out everywhere.",
    "role-made": "The role was added. It has no permissions yet.",
    "role-changed": "The role was changed.",
    "role-deleted": "The role was deleted.",
    "nothing": "Nothing was changed.",
}
