"""One URL, without a trailing slash."""

from django.urls import path

from marefia.graph.views import GraphQLView

urlpatterns = [path("graphql", GraphQLView.as_view(), name="graphql")]
