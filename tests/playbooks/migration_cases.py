"""Migrations that the judge has to refuse or to accept, each a second migration of the same small app."""

from __future__ import annotations

from dataclasses import dataclass

# What the running release's models say. It has stopped using Item.legacy, Item.strict and Retired.
MODELS = """
class Tag(models.Model):
    name = models.CharField(max_length=20)
    rank = models.SmallIntegerField(default=0)

class Item(models.Model):
    title = models.CharField(max_length=50)
    note = models.TextField(null=True)
    code = models.CharField(max_length=10, null=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.IntegerField(default=0)
    seats = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, db_default="new")
    kind = models.CharField(max_length=5, default="a", db_default="b")
    tags = models.ManyToManyField(Tag)
    main_tag = models.ForeignKey(Tag, models.CASCADE, null=True, related_name="+")

class Special(Item):
    discount = models.IntegerField(default=0)

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(discount__gte=0), name="APP_paid"),)
"""
INITIAL = """
migrations.CreateModel("Tag", [
    ("id", models.BigAutoField(primary_key=True)),
    ("name", models.CharField(max_length=20)),
    ("rank", models.SmallIntegerField(default=0)),
]),
migrations.CreateModel("Item", [
    ("id", models.BigAutoField(primary_key=True)),
    ("title", models.CharField(max_length=50)),
    ("note", models.TextField(null=True)),
    ("code", models.CharField(max_length=10, null=True)),
    ("price", models.DecimalField(max_digits=8, decimal_places=2)),
    ("stock", models.IntegerField(default=0)),
    ("seats", models.PositiveIntegerField(default=0)),
    ("state", models.CharField(max_length=10, db_default="new")),
    ("kind", models.CharField(max_length=5, default="a", db_default="b")),
    ("tags", models.ManyToManyField("APP.Tag")),
    ("main_tag", models.ForeignKey("APP.Tag", models.CASCADE, null=True, related_name="+")),
    ("legacy", models.CharField(max_length=10, null=True)),
    ("strict", models.CharField(max_length=10, db_default="x")),
]),
migrations.CreateModel("Special", [
    ("item_ptr", models.OneToOneField("APP.Item", models.CASCADE, parent_link=True, primary_key=True)),
    ("discount", models.IntegerField(default=0)),
], bases=("APP.item",), options={
    "constraints": [models.CheckConstraint(condition=models.Q(discount__gte=0), name="APP_paid")]}),
migrations.CreateModel("Retired", [("id", models.BigAutoField(primary_key=True))]),
migrations.SeparateDatabaseAndState(state_operations=[
    migrations.RemoveField("Item", "legacy"),
    migrations.RemoveField("Item", "strict"),
    migrations.DeleteModel("Retired"),
]),
"""

# The running release at work on the app APP; the judge says whether it still can after the migration.
USE = """
from APP.models import Item, Special, Tag
tag = Tag.objects.create(name="n" * 20, rank=-5)
for _ in range(2):
    item = Item.objects.create(title="t" * 50, price="123456.78", stock=-70000, code=None, main_tag=tag)
    item.tags.add(tag)
    item.refresh_from_db()
    assert item.state == "new" and item.title == "t" * 50
    special = Special.objects.create(title="s", price="1.00", note="n" * 500, discount=1)
    special.tags.set([tag])
Item.objects.update(note=None, stock=1)
assert Item.objects.filter(tags=tag, main_tag__isnull=True).count() == 2
Item.objects.all().delete()
Tag.objects.all().delete()
"""


@dataclass(frozen=True)
class Case:
    """`operations`: source, where APP is the app's label. `harm`: a part of the line that refuses it, or "".

    `seen`: whether SQLite, which checks no lengths and types, lets the running release feel the harm.
    """

    name: str
    operations: str
    harm: str = ""
    seen: bool = True


REFUSED = [
    Case("drops_a_column", 'migrations.RemoveField("Item", "note")', "still uses column APP_item.note"),
    Case("renames_a_column", 'migrations.RenameField("Item", "note", "text")', "db_column"),
    Case("drops_a_table", 'migrations.DeleteModel("Special")', "still uses table APP_special"),
    Case("renames_a_model", 'migrations.RenameModel("Tag", "Label")', "db_table"),
    Case("renames_a_table", 'migrations.AlterModelTable("Tag", "APP_label")', "db_table"),
    Case("drops_an_m2m_table", 'migrations.RemoveField("Item", "tags")', "still uses table APP_item_tags"),
    Case("renames_an_m2m_field", 'migrations.RenameField("Item", "tags", "labels")', "APP_item_tags"),
    Case(
        "adds_not_null_with_a_python_default",
        'migrations.AddField("Item", "rating", models.IntegerField(default=0))',
        "rating is NOT NULL without a db_default",
    ),
    Case(
        "makes_a_nullable_column_not_null",
        'migrations.AlterField("Item", "code", models.CharField(max_length=10, default=""))',
        "may write NULL to APP_item.code",
    ),
    Case(
        "drops_a_database_default",
        'migrations.AlterField("Item", "state", models.CharField(max_length=10))',
        "state is NOT NULL without a db_default",
        seen=False,  # on SQLite Django writes the default itself
    ),
    Case(
        "drops_the_database_default_of_a_column_no_longer_written",
        'migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField("Item", "strict",'
        ' models.CharField(max_length=10, db_default="x"))]),'
        'migrations.AlterField("Item", "strict", models.CharField(max_length=10))',
        "strict is NOT NULL without a db_default",
    ),
    Case(
        "makes_a_column_no_longer_written_not_null",
        'migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField("Item", "legacy",'
        " models.CharField(max_length=10, null=True))]),"
        'migrations.AlterField("Item", "legacy", models.CharField(max_length=10, default=""))',
        "legacy is NOT NULL without a db_default",
    ),
    Case(
        "adds_fills_and_tightens_at_once",
        'migrations.AddField("Item", "rating", models.IntegerField(null=True)),'
        "migrations.RunPython(migrations.RunPython.noop),"
        'migrations.AlterField("Item", "rating", models.IntegerField(default=0))',
        "rating is NOT NULL without a db_default",
    ),
    Case(
        "shortens_a_text",
        'migrations.AlterField("Item", "title", models.CharField(max_length=40))',
        "from CharField(50) to CharField(40)",
        seen=False,
    ),
    Case(
        "takes_digits_away",
        'migrations.AlterField("Item", "price", models.DecimalField(max_digits=7, decimal_places=2))',
        "from DecimalField(8, 2) to DecimalField(7, 2)",
        seen=False,
    ),
    Case(
        "takes_decimal_places_away",
        'migrations.AlterField("Item", "price", models.DecimalField(max_digits=8, decimal_places=1))',
        "from DecimalField(8, 2) to DecimalField(8, 1)",
        seen=False,
    ),
    Case(
        "moves_the_decimal_point",
        'migrations.AlterField("Item", "price", models.DecimalField(max_digits=8, decimal_places=3))',
        "from DecimalField(8, 2) to DecimalField(8, 3)",
        seen=False,
    ),
    Case(
        "makes_an_integer_smaller",
        'migrations.AlterField("Item", "stock", models.SmallIntegerField(default=0))',
        "from IntegerField to SmallIntegerField",
        seen=False,
    ),
    Case(
        "makes_a_positive_integer_smaller",
        'migrations.AlterField("Item", "seats", models.PositiveSmallIntegerField(default=0))',
        "from PositiveIntegerField to PositiveSmallIntegerField",
        seen=False,
    ),
    Case(
        "makes_an_integer_positive",
        'migrations.AlterField("Item", "stock", models.PositiveIntegerField(default=0))',
        "from IntegerField to PositiveIntegerField",
    ),
    Case(
        "turns_text_into_char",
        'migrations.AlterField("Item", "note", models.CharField(max_length=200, null=True))',
        "from TextField to CharField(200)",
        seen=False,
    ),
    Case(
        "turns_a_number_into_text",
        'migrations.AlterField("Item", "stock", models.CharField(max_length=9, default=""))',
        "from IntegerField to CharField(9)",
        seen=False,
    ),
    Case(
        "turns_text_into_a_type_of_its_own",
        'migrations.AlterField("Item", "title", type("Own", (models.Field,), {"db_type": lambda *a: "hstore"})())',
        "from CharField(50) to hstore",
        seen=False,
    ),
    Case(
        "turns_a_foreign_key_into_a_number",
        'migrations.AlterField("Item", "main_tag", models.BigIntegerField(null=True))',
        "still uses column APP_item.main_tag_id",
    ),
    Case(
        "makes_a_column_unique",
        'migrations.AlterField("Item", "title", models.CharField(max_length=50, unique=True))',
        "may violate: unique (title)",
    ),
    Case(
        "makes_columns_unique_together",
        'migrations.AlterUniqueTogether("Item", {("title", "stock")})',
        "may violate: unique (title, stock)",
    ),
    Case(
        "adds_a_unique_constraint",
        'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["title"], name="APP_u"))',
        "may violate: unique (title)",
    ),
    Case(
        "adds_a_conditional_unique_constraint",
        'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["title"], name="APP_u",'
        " condition=models.Q(stock__lt=0)))",
        "may violate: constraint APP_u",
    ),
    Case(
        "adds_a_unique_constraint_on_an_expression",
        'migrations.AddConstraint("Item", models.UniqueConstraint('
        'models.functions.Lower("title"), name="APP_u"))',
        "may violate: constraint APP_u",
    ),
    Case(
        "adds_a_check_constraint",
        'migrations.AddConstraint("Item", models.CheckConstraint('
        'condition=models.Q(stock__gte=0), name="APP_c"))',
        "may violate: constraint APP_c",
    ),
    Case(
        "adds_a_check_that_wants_a_new_column_filled",
        'migrations.AddField("Item", "rating", models.IntegerField(null=True)),'
        'migrations.AddConstraint("Item", models.CheckConstraint('
        'condition=models.Q(rating__isnull=False), name="APP_c"))',
        "may violate: constraint APP_c",
    ),
    Case(
        "adds_a_unique_column_with_one_default_for_all",
        'migrations.AddField("Item", "slug", models.CharField(max_length=9, db_default="same", unique=True))',
        "may violate: unique (slug)",
    ),
    Case(
        "adds_a_unique_column_with_one_default_for_all_that_may_be_null",
        'migrations.AddField("Item", "slug", models.CharField(max_length=9, db_default="same", null=True)),'
        'migrations.AlterUniqueTogether("Item", {("slug",)})',
        "may violate: unique (slug)",
    ),
    Case(
        "orders_with_respect_to_another_model",
        'migrations.AlterOrderWithRespectTo("Item", "main_tag")',
        "_order is NOT NULL without a db_default",
    ),
    Case(
        "drops_a_column_by_sql",
        "migrations.RunSQL('ALTER TABLE \"APP_item\" DROP COLUMN note')",
        "still uses column APP_item.note",
    ),
    Case(
        "drops_a_column_among_database_operations",
        'migrations.SeparateDatabaseAndState(database_operations=[migrations.RemoveField("Item", "note")])',
        "still uses column APP_item.note",
    ),
    Case(
        "drops_a_column_from_the_models_and_apart_from_the_database",
        'migrations.SeparateDatabaseAndState([migrations.RemoveField("Item", "note")],'
        ' [migrations.RemoveField("Item", "note")])',
        "still uses column APP_item.note",
    ),
    Case(
        "is_an_operation_that_only_its_author_knows",
        'type("Own", (Operation,), {"state_forwards": lambda *a: None,'
        ' "database_forwards": lambda self, app, editor, *a:'
        ' editor.execute("ALTER TABLE APP_item DROP COLUMN note")})()',
        "it cannot be seen that the running release can live with: Own",
    ),
    Case(
        "runs_python_in_a_way_that_only_its_author_knows",
        'type("Own", (migrations.RunPython,), {"database_forwards": lambda self, app, editor, *a:'
        ' editor.execute("ALTER TABLE APP_item DROP COLUMN note")})(migrations.RunPython.noop)',
        "it cannot be seen that the running release can live with: Own",
    ),
    Case(
        "adds_a_field_and_more_that_only_its_author_knows",
        'type("Own", (migrations.AddField,), {"database_forwards": lambda self, app, editor, *a:'
        ' editor.execute("ALTER TABLE APP_item DROP COLUMN note")})("Item", "x", models.TextField(null=True))',
        "it cannot be seen that the running release can live with: Own",
    ),
    Case(
        "adds_not_null_with_null_as_the_database_default",
        'migrations.AddField("Item", "rating", models.IntegerField(db_default=models.Value(None)))',
        "rating is NOT NULL without a db_default",
    ),
    Case(
        "adds_a_foreign_key_with_one_default_for_all",
        'migrations.AddField("Item", "spare", models.ForeignKey("APP.Tag", models.CASCADE, db_default=1,'
        ' related_name="+"))',
        "may violate: foreign key (spare_id) to APP_tag",
        seen=False,  # there is a row 1
    ),
    Case(
        "adds_a_check_that_the_database_default_fails",
        'migrations.AddField("Item", "rating", models.IntegerField(db_default=0)),'
        'migrations.AddConstraint("Item", models.CheckConstraint('
        'condition=models.Q(rating__gte=1), name="APP_c"))',
        "may violate: constraint APP_c",
    ),
    Case(
        "changes_a_collation",
        'migrations.AlterField("Item", "title", models.CharField(max_length=50, db_collation="NOCASE"))',
        "from CharField(50) to CharField(50) collate NOCASE",
        seen=False,
    ),
    Case(
        "drops_a_column_of_a_table_in_brackets",
        'migrations.RunSQL("ALTER TABLE [APP_item] DROP COLUMN [note]")',
        "still uses column APP_item.note",
    ),
    Case(
        "drops_a_table_in_the_quotes_of_a_literal",
        "migrations.RunSQL(\"DROP TABLE 'APP_special'\")",
        "it cannot be seen",
    ),
    Case(
        "hides_a_unique_index_in_its_name",
        "migrations.RunSQL('CREATE UNIQUE INDEX \"APP on foo\" ON APP_item(title)')",
        "it cannot be seen",
    ),
    Case(
        "hides_a_unique_index_in_the_brackets_of_its_name",
        "migrations.RunSQL('CREATE UNIQUE INDEX [APP on foo (] ON APP_item(title)')",
        "it cannot be seen",
    ),
    Case(
        "hides_a_trigger_in_its_name",
        "migrations.RunSQL(['CREATE TRIGGER \"APP on foo\" BEFORE INSERT ON APP_tag'"
        " ' BEGIN SELECT RAISE(ABORT, \"no\"); END'])",
        "it cannot be seen",
    ),
    Case(
        "adds_a_check_of_either_or",
        'migrations.AddField("Item", "a", models.IntegerField(null=True)),'
        'migrations.AddField("Item", "b", models.IntegerField(null=True)),'
        'migrations.AddConstraint("Item", models.CheckConstraint('
        'condition=models.Q(a__gt=0) ^ models.Q(b__gt=0), name="APP_c"))',
        "may violate: constraint APP_c",
    ),
    Case(
        "adds_a_check_that_wants_a_key",
        'migrations.AddField("Item", "a", models.JSONField(null=True)),'
        'migrations.AddConstraint("Item", models.CheckConstraint('
        'condition=models.Q(a__has_key="x"), name="APP_c"))',
        "may violate: constraint APP_c",
    ),
    Case(
        "adds_a_check_that_wants_a_new_column_filled_in_other_words",
        'migrations.AddField("Item", "a", models.IntegerField(null=True)),'
        'migrations.AddConstraint("Item", models.CheckConstraint('
        'condition=~models.Q(models.Q(a__isnull=True)), name="APP_c"))',
        "may violate: constraint APP_c",
    ),
    *(
        Case(
            f"adds_not_null_with_a_database_default_that_is_null_{n}",
            f'migrations.AddField("Item", "rating", {made})',
            "rating is NOT NULL without a db_default",
        )
        for n, made in enumerate(
            [
                "models.IntegerField(db_default=models.functions.NullIf(models.Value(0), models.Value(0)))",
                (
                    "models.CharField(max_length=9, db_default=models.functions.Lower("
                    "models.Value(None, models.CharField())))"
                ),
                (
                    'models.CharField(max_length=9, db_default=models.functions.Lower(models.Value("x"),'
                    " template=\"NULLIF(%(expressions)s, 'x')\"))"
                ),
            ]
        )
    ),
    *(
        Case(
            f"adds_not_null_by_sql_with_a_default_that_is_none_{n}",
            f"migrations.RunSQL('ALTER TABLE APP_item ADD COLUMN rating int {made}')",
            "rating is NOT NULL without a db_default",
        )
        for n, made in enumerate(
            [
                "NOT NULL DEFAULT NULL",
                "NOT NULL DEFAULT (NULL)",
                "DEFAULT (nullif(1, 1)) NOT NULL",
                'CONSTRAINT "default" NOT NULL',
                "DEFAULT 0 DEFAULT NULL NOT NULL",
                "NOT NULL REFERENCES APP_tag(id) ON DELETE SET DEFAULT",
                "NOT NULL GENERATED ALWAYS AS (nullif(stock, 1)) VIRTUAL",
            ]
        )
    ),
    Case(
        "adds_a_reference_by_sql_with_one_default_for_all",
        "migrations.RunSQL('ALTER TABLE APP_item ADD COLUMN x bigint DEFAULT 999999 REFERENCES APP_tag(id)')",
        "may violate: x bigint",
    ),
    Case(
        "adds_a_reference_by_sql_with_zero_for_all",
        "migrations.RunSQL('ALTER TABLE APP_item ADD x bigint NOT NULL DEFAULT 0 REFERENCES APP_tag(id)')",
        "may violate: x bigint",
    ),
    Case(
        "adds_an_index_that_may_fail",
        'migrations.AddIndex("Item", models.Index(models.Func("note", models.Value("$.a"),'
        ' function="JSON_EXTRACT"), name="APP_i"))',
        "it cannot be seen",
    ),
    Case(
        "adds_an_index_that_may_fail_in_disguise",
        'migrations.AddIndex("Item", models.Index(models.functions.Lower("note", function="JSON"), name="APP_i"))',
        "it cannot be seen",
    ),
    Case(
        "adds_an_index_whose_condition_may_fail",
        'migrations.AddIndex("Item", models.Index(fields=["title"], name="APP_i", condition=models.Q('
        'stock__lt=models.functions.Length(models.Func("note", function="JSON")))))',
        "it cannot be seen",
    ),
    Case(
        "adds_an_index_by_sql_that_may_fail",
        "migrations.RunSQL('CREATE INDEX APP_i ON APP_item (json_extract(note, \"$.a\"))')",
        "it cannot be seen",
    ),
    Case(
        "adds_an_index_by_sql_that_may_fail_without_a_function",
        "migrations.RunSQL(\"CREATE INDEX APP_i ON APP_item (note ->> '$.a')\")",
        "it cannot be seen",
    ),
    Case(
        "adds_a_generated_column_that_may_fail",
        'migrations.AddField("Item", "a", models.GeneratedField(expression=models.Func("note",'
        ' models.Value("$.a"), function="JSON_EXTRACT"), output_field=models.TextField(), db_persist=True))',
        "it cannot be seen",
    ),
    Case(
        "has_an_apply_of_its_own",  # the operations end, and the rest of the class follows
        """]
    def apply(self, state, editor, collect_sql=False):
        editor.execute("ALTER TABLE APP_item DROP COLUMN note")
        return super().apply(state, editor, collect_sql)
    initial = [""",
        "it cannot be seen that the running release can live with: an apply",
    ),
    Case(
        "renames_a_model_that_a_many_to_many_field_points_at",
        'migrations.AlterModelTable("Tag", "APP_tag"), migrations.RenameModel("Tag", "Label")',
        "by a through model",
    ),
    Case(
        "gives_null_as_a_default_to_a_column_no_longer_written",
        'migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField("Item", "strict",'
        ' models.CharField(max_length=10, db_default="x"))]), migrations.AlterField("Item", "strict",'
        " models.CharField(max_length=10, db_default=models.Value(None)))",
        "strict is NOT NULL without a db_default",
    ),
]

ACCEPTED = [
    Case(
        "renames_a_model_that_a_through_model_points_at_with_its_old_column",
        "migrations.SeparateDatabaseAndState(state_operations=[migrations.CreateModel('ItemTag', ["
        ' ("id", models.BigAutoField(primary_key=True)), ("item", models.ForeignKey("APP.Item", models.CASCADE)),'
        ' ("tag", models.ForeignKey("APP.Tag", models.CASCADE, db_column="tag_id"))],'
        ' options={"db_table": "APP_item_tags", "unique_together": {("item", "tag")}}),'
        ' migrations.AlterField("Item", "tags", models.ManyToManyField("APP.Tag", through="APP.ItemTag"))]),'
        'migrations.AlterModelTable("Tag", "APP_tag"), migrations.RenameModel("Tag", "Label")',
    ),
    Case(
        "drops_the_database_default_of_a_column_that_django_sends",
        'migrations.AlterField("Item", "kind", models.CharField(max_length=5, default="a"))',
    ),
    Case(
        "renames_a_constraint",
        'migrations.RemoveConstraint("Special", "APP_paid"), migrations.AddConstraint("Special",'
        ' models.CheckConstraint(condition=models.Q(discount__gte=0), name="APP_fair",'
        ' violation_error_message="no"))',
    ),
    Case(
        "checks_a_new_column_if_it_is_filled",
        'migrations.AddField("Item", "rating", models.CharField(max_length=9, null=True)),'
        'migrations.AddConstraint("Item", models.CheckConstraint(name="APP_c",'
        ' condition=models.Q(rating__isnull=True) | models.Q(rating__gt="")))',
    ),
    Case(
        "adds_not_null_with_a_database_default_that_is_computed",
        'migrations.AddField("Item", "made", models.DateTimeField(db_default=models.functions.Now())),'
        'migrations.AddField("Item", "mark", models.CharField(max_length=9, db_default=models.functions.Concat('
        'models.Value("a"), models.functions.Upper(models.Value("b")))))',
    ),
    Case(
        "adds_an_index_on_lower_case_where_it_matters",
        'migrations.AddIndex("Item", models.Index(models.functions.Lower("title").desc(), "stock",'
        ' condition=models.Q(stock__gt=0, note__isnull=False), name="APP_i"))',
    ),
    Case(
        "adds_a_generated_column_of_text",
        'migrations.AddField("Item", "a", models.GeneratedField(expression=models.functions.Concat("title",'
        ' models.Value("/"), models.functions.Coalesce("note", models.Value("?"))),'
        " output_field=models.TextField(), db_persist=True))",
    ),
    Case(
        "adds_a_reference_by_sql",
        "migrations.RunSQL('ALTER TABLE APP_item ADD COLUMN x bigint REFERENCES APP_tag(id)')",
    ),
    Case(
        "adds_not_null_by_sql_with_a_default",
        "migrations.RunSQL('ALTER TABLE APP_item ADD COLUMN x int NOT NULL DEFAULT -1;'"
        " \"ALTER TABLE APP_item ADD COLUMN y text DEFAULT 'a' NOT NULL\")",
    ),
    Case(
        "adds_an_index_by_sql_where_it_matters",
        'migrations.RunSQL(\'CREATE INDEX "APP_i" ON "APP_item" (lower("title"), stock DESC)\''
        " ' WHERE (stock > 0 AND note IS NOT NULL)')",
    ),
    Case("adds_a_nullable_column", 'migrations.AddField("Item", "rating", models.IntegerField(null=True))'),
    Case(
        "adds_not_null_with_a_database_default",
        'migrations.AddField("Item", "rating", models.IntegerField(db_default=0))',
    ),
    Case(
        "adds_a_generated_column",
        'migrations.AddField("Item", "double", models.GeneratedField(expression=models.F("stock") * 2,'
        " output_field=models.IntegerField(), db_persist=False))",
    ),
    Case(
        "adds_a_generated_column_of_decimals",
        'migrations.AddField("Item", "double", models.GeneratedField(expression=models.F("price") * 2,'
        " output_field=models.DecimalField(max_digits=9, decimal_places=2), db_persist=False))",
    ),
    Case(
        "runs_python_with_a_name_of_its_own",
        'type("Own", (migrations.RunPython,), {})(migrations.RunPython.noop)',
    ),
    Case("adds_an_m2m_field", 'migrations.AddField("Tag", "twins", models.ManyToManyField("APP.Tag"))'),
    Case(
        "creates_a_table",
        'migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True)),'
        ' ("item", models.ForeignKey("APP.Item", models.CASCADE)), ("name", models.TextField(unique=True))])',
    ),
    Case(
        "creates_a_proxy", 'migrations.CreateModel("Alias", [], options={"proxy": True}, bases=("APP.tag",))'
    ),
    Case(
        "adds_a_nullable_foreign_key",
        'migrations.AddField("Item", "spare", models.ForeignKey("APP.Tag", models.SET_NULL, null=True,'
        ' related_name="+"))',
    ),
    Case(
        "makes_a_column_nullable",  # the first step of a column that leaves
        'migrations.AlterField("Item", "title", models.CharField(max_length=50, null=True))',
    ),
    Case(
        "gives_a_column_a_database_default",  # the other first step
        'migrations.AlterField("Item", "title", models.CharField(max_length=50, db_default=""))',
    ),
    Case(
        "takes_a_column_from_the_models_only",  # the second step
        'migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("Item", "note")])',
    ),
    Case(
        "drops_a_column_no_longer_used_by_sql",  # the third step
        'migrations.RunSQL("ALTER TABLE APP_item DROP COLUMN legacy")',
    ),
    Case(
        "drops_a_column_no_longer_used",  # the third step, without SQL
        'migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField("Item", "legacy",'
        ' models.CharField(max_length=10, null=True))]), migrations.RemoveField("Item", "legacy")',
    ),
    Case(
        "drops_a_table_no_longer_used",
        'migrations.SeparateDatabaseAndState(state_operations=[migrations.CreateModel("Retired",'
        ' [("id", models.BigAutoField(primary_key=True))])], database_operations=[]),'
        'migrations.DeleteModel("Retired")',
    ),
    Case("drops_a_table_no_longer_used_by_sql", 'migrations.RunSQL("DROP TABLE IF EXISTS APP_retired")'),
    Case("lengthens_a_text", 'migrations.AlterField("Item", "title", models.CharField(max_length=60))'),
    Case("turns_char_into_text", 'migrations.AlterField("Item", "title", models.TextField())'),
    Case("turns_char_into_a_slug", 'migrations.AlterField("Item", "title", models.SlugField(max_length=50))'),
    Case(
        "adds_digits",
        'migrations.AlterField("Item", "price", models.DecimalField(max_digits=10, decimal_places=3))',
    ),
    Case(
        "makes_an_integer_bigger", 'migrations.AlterField("Item", "stock", models.BigIntegerField(default=0))'
    ),
    Case(
        "renames_a_field_but_not_its_column",
        'migrations.AlterField("Item", "note", models.TextField(null=True, db_column="note")),'
        'migrations.RenameField("Item", "note", "text")',
    ),
    Case(
        "renames_a_model_but_not_its_table",
        'migrations.AlterModelTable("Special", "APP_special"), migrations.RenameModel("Special", "Offer")',
    ),
    Case("adds_an_index", 'migrations.AddIndex("Item", models.Index(fields=["title"], name="APP_i"))'),
    Case(
        "adds_and_removes_an_index",
        'migrations.AddIndex("Item", models.Index(fields=["title"], name="APP_i")),'
        'migrations.RemoveIndex("Item", "APP_i")',
    ),
    Case(
        "adds_a_unique_column_that_may_be_null",
        'migrations.AddField("Item", "slug", models.CharField(max_length=9, null=True, unique=True))',
    ),
    Case(
        "adds_a_unique_constraint_on_a_column_that_may_be_null",
        'migrations.AddField("Item", "slug", models.CharField(max_length=9, null=True)),'
        'migrations.AddConstraint("Item", models.UniqueConstraint(fields=["slug"], name="APP_u",'
        ' condition=~models.Q(slug="")))',
    ),
    Case(
        "takes_a_constraint_away_and_puts_it_back",
        'migrations.RemoveConstraint("Special", "APP_paid"), migrations.AddConstraint("Special",'
        ' models.CheckConstraint(condition=models.Q(discount__gte=0), name="APP_paid"))',
    ),
    Case(
        "checks_a_new_column",
        'migrations.AddField("Item", "rating", models.IntegerField(null=True)),'
        'migrations.AddConstraint("Item", models.CheckConstraint(name="APP_c",'
        " condition=models.Q(rating__gte=1) & models.Q(rating__lte=5)))",
    ),
    Case(
        "changes_what_only_the_models_know",
        'migrations.AlterField("Item", "title", models.CharField("Title", max_length=50, help_text="?")),'
        'migrations.AlterModelOptions("Item", {"ordering": ["title"], "verbose_name": "thing"})',
    ),
    Case("leaves_a_table_to_others", 'migrations.AlterModelOptions("Tag", {"managed": False})'),
    Case(
        "changes_data",
        "migrations.RunPython(migrations.RunPython.noop),"
        "migrations.RunSQL([\"UPDATE APP_item SET note = 'DROP TABLE APP_item'\","
        ' ("DELETE FROM APP_item WHERE id = %s", [0])])',
    ),
]

# Judged only: not every statement is SQLite's. The refused ones with the table or column that is named.
SQL_REFUSED = [
    ('ALTER TABLE "shop"."APP_Item" DROP COLUMN IF EXISTS "note" CASCADE', "APP_item.note"),
    ("ALTER TABLE APP_item ADD x int, -- a comment\n DROP note", "APP_item.note"),
    ("ALTER TABLE APP_item RENAME COLUMN note TO text", "APP_item.note, which would be renamed"),
    ("ALTER TABLE APP_item RENAME note TO text", "APP_item.note"),
    ("ALTER TABLE APP_item RENAME TO things", "table APP_item"),
    ("RENAME TABLE `APP_item` TO things", "table APP_item"),
    ("SELECT 1; DROP TABLE APP_retired, APP_tag CASCADE", "table APP_tag"),
    ("ALTER TABLE APP_item ALTER COLUMN title TYPE varchar(20)", "APP_item.title"),
    ("ALTER TABLE ONLY APP_item ALTER title SET DATA TYPE text USING title::text", "APP_item.title"),
    ("ALTER TABLE APP_item MODIFY title varchar(20) NOT NULL", "APP_item.title"),
    ("ALTER TABLE APP_item CHANGE COLUMN title name varchar(50)", "APP_item.title"),
    ("ALTER TABLE APP_item MODIFY strict varchar(20) NOT NULL", "strict is NOT NULL"),
    ("ALTER TABLE APP_item ALTER code SET NOT NULL", "may write NULL to APP_item.code"),
    ("ALTER TABLE APP_item ALTER legacy SET NOT NULL", "legacy is NOT NULL"),
    ("ALTER TABLE APP_item ALTER state DROP DEFAULT", "state is NOT NULL"),
    ("ALTER TABLE APP_item ALTER strict DROP DEFAULT", "strict is NOT NULL"),
    ("ALTER TABLE APP_item ADD COLUMN x int NOT NULL", "x is NOT NULL"),
    ("ALTER TABLE APP_item ADD COLUMN x int UNIQUE", "may violate: x int unique"),
    ("ALTER TABLE APP_item ADD CONSTRAINT c CHECK (stock > 0) NOT VALID", "may violate: add constraint c"),
    ("ALTER TABLE APP_item ADD EXCLUDE USING gist (a WITH &&)", "may violate: add exclude"),
    ("CREATE UNIQUE INDEX CONCURRENTLY i ON APP_item (lower(title))", "may violate: create unique index"),
    ("CREATE TRIGGER t BEFORE INSERT ON APP_item BEGIN SELECT RAISE(ABORT, ''); END", "create trigger t"),
    ("ALTER TABLE APP_item DISABLE TRIGGER ALL", "it cannot be seen"),
    ("DO $$ BEGIN ALTER TABLE APP_item DROP COLUMN note; END $$", "it cannot be seen"),
    ("DROP VIEW best_items", "it cannot be seen"),
    ("REVOKE ALL ON APP_item FROM web", "it cannot be seen"),
    ("ALTER TABLE [APP_item] DROP COLUMN note", "APP_item.note"),
    ("ALTER TABLE[main].[APP_item] DROP [note]", "APP_item.note"),
    ("DROP TABLE [APP_retired], [APP_tag]", "table APP_tag"),
    ("CREATE TRIGGER t BEFORE INSERT ON [APP_item] BEGIN SELECT RAISE(ABORT, ''); END", "create trigger t"),
    ("CREATE UNIQUE INDEX [i] ON [APP_item] ([title])", "may violate: create unique index"),
    ("ALTER TABLE 'APP_item' DROP COLUMN note", "it cannot be seen"),
    ("ALTER TABLE APP_item DROP COLUMN 'note'", "it cannot be seen"),
    ("PRAGMA writable_schema = ON", "it cannot be seen"),
    ("PRAGMA main.[writable_schema](1)", "it cannot be seen"),
    ("PRAGMA 'writable_schema' = 1", "it cannot be seen"),
    ("UPDATE sqlite_master SET sql = ''", "it cannot be seen"),
    ("UPDATE OR REPLACE main.'sqlite_master' SET sql = ''", "it cannot be seen"),
    ("DELETE FROM [sqlite_schema] WHERE name = 'APP_item'", "it cannot be seen"),
    ('INSERT INTO "main"."sqlite_master" VALUES (1)', "it cannot be seen"),
    ("WITH x AS (SELECT 1) DELETE FROM sqlite_master", "it cannot be seen"),
    ('CREATE UNIQUE INDEX "on" ON APP_item (title)', "may violate: create unique index"),
    ('ALTER TABLE APP_item RENAME "key" TO x, RENAME "note" TO "key"', "APP_item.note"),
    ("ALTER TABLE APP_item ADD INDEX i ((CAST(note AS json)))", "it cannot be seen"),
    ("CREATE INDEX i ON APP_item USING gin ((note::jsonb))", "it cannot be seen"),
    ("ALTER TABLE APP_item ADD x int GENERATED ALWAYS AS (1 / stock) STORED", "it cannot be seen"),
    ("ALTER TABLE APP_item ALTER strict SET DEFAULT NULL", "strict is NOT NULL"),
    ("ALTER TABLE APP_item ADD x int NOT NULL DEFAULT 0 + NULL", "x is NOT NULL"),
    ("ALTER TABLE APP_item ADD x int CONSTRAINT `auto_increment` NOT NULL", "x is NOT NULL"),
    ("ALTER TABLE APP_item DROP COLUMN [a b]", "it cannot be seen"),
    (r"SELECT 'x\'; DROP TABLE APP_item; --'", "it cannot be seen"),
    ("SELECT 1 /*! ; DROP TABLE APP_item */", "it cannot be seen"),
    ("CREATE OR REPLACE TABLE APP_item (id int)", "it cannot be seen"),
]
SQL_ACCEPTED = [
    "",
    "-- nothing but a comment",
    "SELECT 'ALTER TABLE APP_item DROP COLUMN note'",
    "WITH x AS (SELECT 1) UPDATE APP_item SET stock = 0",
    "CREATE TABLE APP_new (id int, i int REFERENCES APP_item (id)); CREATE INDEX i ON APP_item (title)",
    "CREATE UNIQUE INDEX i ON APP_retired (id)",
    "CREATE OR REPLACE FUNCTION f() RETURNS trigger AS $$ BEGIN DROP TABLE APP_item; END $$ LANGUAGE sql",
    "DROP TABLE APP_retired",
    "ALTER TABLE [APP_item] ADD [x] text[] NOT NULL DEFAULT ''; PRAGMA foreign_keys = ON",
    "UPDATE APP_item SET note = 'sqlite_master', title = (SELECT name FROM sqlite_master LIMIT 1)",
    "ALTER TABLE APP_retired RENAME TO gone",
    "ALTER TABLE APP_item ADD COLUMN x numeric(8, 2) NOT NULL DEFAULT 0, ADD COLUMN y int NULL",
    "ALTER TABLE APP_item ALTER title DROP NOT NULL, ALTER title SET DEFAULT ''",
    "ALTER TABLE APP_item ALTER title SET NOT NULL",
    "ALTER TABLE APP_item ALTER legacy TYPE text, MODIFY legacy text NULL",
    "ALTER TABLE APP_item ALTER note DROP DEFAULT",
    "ALTER TABLE APP_item DROP CONSTRAINT c, VALIDATE CONSTRAINT d, RENAME CONSTRAINT e TO f, ADD INDEX (a)",
    "DROP INDEX CONCURRENTLY i",
    "ALTER TABLE APP_item ADD x int GENERATED BY DEFAULT AS IDENTITY NOT NULL, ADD y int NOT NULL AUTO_INCREMENT",
    "ALTER TABLE APP_item ADD x timestamp DEFAULT CURRENT_TIMESTAMP(6) NOT NULL, ADD y date NOT NULL DEFAULT now()",
    "ALTER TABLE APP_item ADD x jsonb DEFAULT '{}'::jsonb NOT NULL, ADD y int DEFAULT NULL REFERENCES APP_tag (id)",
    "ALTER TABLE APP_item ALTER kind DROP DEFAULT, ADD INDEX i (title(20)), ADD FULLTEXT KEY (note)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY APP_item USING gin (tags) INCLUDE (title)",
]
