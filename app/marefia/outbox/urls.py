"""The mailbox of the environment dev."""

from django.urls import path

from marefia.outbox import mailbox

urlpatterns = [
    path("", mailbox.mails, name="mailbox"),
    path("<str:file>/<int:number>/", mailbox.mail, name="mail"),
]
