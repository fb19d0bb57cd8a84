"""Signing up; all else is Django's."""
# mypy: disable-error-code="type-arg"
# These classes are generic in the stubs only.

from django.contrib.auth import login
from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpResponse
from django.views.generic import FormView

from marefia.accounts.forms import SignUpForm


class SignUpView(RedirectURLMixin, FormView):
    """Show the form, or store the user, log in, and go where `next` says if that is here."""

    form_class = SignUpForm
    template_name = "form.html"
    extra_context = {"title": "Sign up", "action": "Sign up"}
    next_page = "listings"
    http_method_names = ["get", "head", "post"]

    def form_valid(self, form: SignUpForm) -> HttpResponse:
        """Store and log in."""
        user = form.stored()
        if user is None:
            return self.form_invalid(form)
        login(self.request, user, backend="django.contrib.auth.backends.ModelBackend")
        return super().form_valid(form)

    def form_invalid(self, form: SignUpForm) -> HttpResponse:
        """Show it again."""
        return self.render_to_response(self.get_context_data(form=form), status=422)
